// Which of CPython's own tests a runtime must pass, and which single tests in them it cannot, each with the reason.
// Names of modules below Lib/test; one that a version does not have is left out for it.

/**
 * What Lambda functions stand on; no network but loopback, nothing that takes longer than a minute on one core.
 * Not in it because the module of tests itself imports what the prune rules or the build leave out: test_bytes, test_io,
 * test_zipfile (_pyio), test_decimal (_pydecimal), test_ctypes (ctypes.macholib), test_class, test_compile, test_traceback,
 * test_unicode (_testcapi, _testinternalcapi), test_sysconfig (_osx_support), test_venv (ensurepip),
 * asyncio's sock_lowlevel (proactor_events); and because of /dev/shm: test_concurrent_futures, test_multiprocessing_*.
 */
export const modules: readonly string[] = `
  test_argparse test_array test_ast test_asyncgen test_atexit test_audit test_base64 test_binascii test_bisect test_bool
  test_buffer test_builtin test_bz2 test_calendar test_cmath test_codeccallbacks test_codecencodings_jp
  test_codecs test_collections test_compileall test_complex test_configparser test_context test_contextlib
  test_contextlib_async test_copy test_coroutines test_csv test_dataclasses test_datetime test_dbm_dumb test_defaultdict
  test_deque test_descr test_dict test_difflib test_email test_enum test_exceptions test_exception_group test_faulthandler
  test_fcntl test_float test_fork1 test_fractions test_frozen test_fstring test_functools test_gc test_generators test_genericalias
  test_glob test_graphlib test_grammar test_gzip test_hashlib test_heapq test_hmac test_html test_http_cookies test_httplib
  test_httpservers test_importlib test_inspect test_int test_ipaddress test_itertools test_json test_list test_locale test_logging
  test_long test_lzma test_marshal test_math test_memoryview test_mimetypes test_mmap test_operator test_ordered_dict test_os
  test_pathlib test_patma test_pickle test_pkgutil test_posix test_posixpath test_pprint test_pyexpat test_queue test_random test_re
  test_runpy test_sax test_secrets test_select test_selectors test_set test_shelve test_shlex test_shutil test_signal test_site
  test_smtplib test_socket test_sqlite3 test_ssl test_stat test_statistics test_str test_string test_strftime test_struct
  test_structseq test_subprocess test_sys test_tempfile test_textwrap test_thread test_threadedtempfile
  test_threading test_threading_local test_threadsignals test_time test_tokenize test_tomllib test_tuple test_type_annotations
  test_typing test_unicodedata test_unittest test_unpack test_urllib test_urllib2 test_urlparse test_userdict test_uuid
  test_warnings test_weakref test_with test_wsgiref test_xml_etree test_xml_etree_c test_yield_from test_zipapp
  test_zipimport test_zlib test_zoneinfo
  test_asyncio.test_base_events test_asyncio.test_buffered_proto test_asyncio.test_context test_asyncio.test_eager_task_factory
  test_asyncio.test_events test_asyncio.test_futures test_asyncio.test_locks test_asyncio.test_protocols test_asyncio.test_queues
  test_asyncio.test_runners test_asyncio.test_selector_events test_asyncio.test_server test_asyncio.test_ssl
  test_asyncio.test_sslproto test_asyncio.test_streams test_asyncio.test_subprocess test_asyncio.test_taskgroups
  test_asyncio.test_tasks test_asyncio.test_timeouts test_asyncio.test_unix_events test_asyncio.test_waitfor
`
  .trim()
  .split(/\s+/);

export interface Expected {
  /** As `python -m test --ignore` takes it: fnmatch against a test's full name, its parts, or all of it. */
  readonly pattern: string;
  readonly reason: string;
}

const noTerminal = 'The sandbox has no pseudo terminals, as Lambda has none.';
const noSemaphores = 'multiprocessing.Queue, Lock and Pool need /dev/shm, which Lambda does not have.';
const unlinks = 'It removes stale bytecode from every folder of sys.path, and /opt cannot be written to.';
const twin = 'It tests the pure-Python twin of a built-in module, which the prune rules leave out.';
const testModule = "It needs _testcapi or another module that only CPython's own tests use; they are not built.";

/** Not to be passed, and why. */
export const expected: readonly Expected[] = [
  { pattern: '*PtyTests*', reason: noTerminal },
  { pattern: 'test_write_pty', reason: noTerminal },
  { pattern: 'test_read_pty_output', reason: noTerminal },
  { pattern: 'test_bidirectional_pty', reason: noTerminal },
  { pattern: 'test_read_character_device', reason: noTerminal },
  { pattern: 'test_write_character_device', reason: noTerminal },
  { pattern: 'PseudoterminalTests', reason: noTerminal },
  { pattern: 'test.test_logging.ConfigDictTest.test_111615', reason: noSemaphores },
  { pattern: 'test.test_logging.ConfigDictTest.test_multiprocessing_queues', reason: noSemaphores },
  { pattern: 'test_unpickle_module_race', reason: unlinks },
  { pattern: 'ThreadedImportTests', reason: unlinks },
  { pattern: 'test_run_*', reason: unlinks },
  { pattern: 'test_getsource_stdlib_decimal', reason: twin },
  { pattern: 'test_pydatetime', reason: twin },
  { pattern: 'test_pipe2_c_limits', reason: testModule },
  { pattern: 'test_finalize_daemon_thread_hang', reason: testModule },
  {
    pattern: 'test_large_content_length_truncated',
    reason: 'A race in the test: its CGI script may end before the body is sent, and sending then fails.',
  },
  {
    pattern: 'test_empty_env',
    reason: 'The interpreter sets SSL_CERT_FILE where its OpenSSL would look in a folder that Lambda does not have.',
  },
];
