// The known differences, each of a row of docs/differences.md, and what exactly they are: a wording is another text for
// the same thing, anywhere; a behaviour is what happens in named cases. Whatever no rule explains is a fault.
import type { Aspect, Runtime } from './case.ts';
import type { Difference } from './compare.ts';

interface Wording {
  readonly row: string;
  /** Applies only where both have something to replace: that only one has it would be another difference. */
  readonly both?: true;
  /** Replacements that make both texts one; `there` in what AWS's client did, `here` in what ours did. */
  readonly there?: readonly Rewrite[];
  readonly here?: readonly Rewrite[];
}

type Rewrite = readonly [RegExp, string | ((whole: string) => string)];

interface Behaviour {
  readonly row: string;
  /** Which cases. */
  readonly cases: RegExp;
  readonly on?: (runtime: Runtime) => boolean;
  /** What each aspect that differs looks like on either side. */
  readonly aspects: Partial<Record<Aspect, readonly [there: RegExp, here: RegExp]>>;
}

// Where a line begins; `^` would also match behind a carriage return.
const AT_LINE = '(?<![^\\n\\u2016])';
/** Where a record of the text format begins. */
const RECORD = `${AT_LINE}\\[(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\\]`;

// One frame of a traceback that is the runtime's own: as a traceback prints it, as it is in the text log, in the error
// JSON, and in the X-Ray cause.
const OWN = '(?:<client>|<managed>|<frozen make_runtime)';
/** @param file pattern of the file, or of its beginning when `rest` does not start with the quote that ends it */
const frames = (file: string, rest = ''): Rewrite[] => [
  [new RegExp(`${AT_LINE}[ \\u00a0]{2}File "${file}${rest}[^\\n]*\\n(?:[ \\u00a0]{4}[^\\n]*\\n)*`, 'g'), ''],
  [new RegExp(`\\r[ \\u00a0]{2}File "${file}${rest}[^\\r\\n]*(?:\\r[ \\u00a0]{4}[^\\r\\n]*)*`, 'g'), ''],
  [new RegExp(`(?:, )?" {2}File \\\\"${file}${rest.replace('"', '\\\\"')}(?:[^"\\\\]|\\\\.)*"`, 'g'), ''],
  [new RegExp(`^(?:frame|path) ${file}[^\\n]*\\n`, 'gm'), ''],
];

const wordings: readonly Wording[] = [
  {
    row: 'json-words',
    there: [
      [/enclosed in double quotes or '}'/g, 'enclosed in double quotes'],
      [/(Extra data: line \d+ column \d+) - line \d+ column \d+ \(char (\d+) - \d+\)/g, '$1 (char $2)'],
      [/Invalid (\\+)X escape sequence 'x': line 1 column 3 \(char 2\)/g, 'Invalid $1escape: line 1 column 2 (char 1)'],
      [/Invalid control character '\\+x01' at/g, 'Invalid control character at'],
      [/decoding a JSON array from a string/g, 'decoding a JSON array from a unicode string'],
      [
        /Illegal trailing comma before end of array: line 1 column 6 \(char 5\)/g,
        'Expecting value: line 1 column 8 (char 7)',
      ],
      [/depth exceeded while calling a Python object/g, 'depth exceeded while encoding a JSON object'],
    ],
  },
  {
    row: 'init-error-content-type',
    here: [[/^content-type: application\/json\n(?=lambda-runtime-function-error-type: )/g, '']],
  },
  {
    row: 'record-lines',
    there: [
      [
        new RegExp(`${RECORD}[\\s\\S]*?(?=\\n?(?:\\u2016|$)|\\n${RECORD})`, 'g'),
        (record) => record.replace(/\r?\n/g, '\r'),
      ],
    ],
  },
  { row: 'record-end', there: [[new RegExp(`${RECORD}\\t[^\\n\\u2016]*(?=\\u2016|$)`, 'g'), '$&\n']] },
  {
    row: 'hook-frame',
    there: frames('<client>/awslambdaric/lambda_runtime_hooks_runner\\.py', '", line \\d+, in run_'),
  },
  { row: 'importlib-frame', there: frames('<library>/importlib/__init__.py', '", line \\d+, in import_module') },
  {
    row: 'own-frames',
    both: true,
    there: frames(OWN),
    here: [...frames(OWN), ...frames('<library>/json/__init__.py', '", line \\d+, in dumps')],
  },
];

const NO_GENERATOR = /Unable to marshal response: Object of type generator is not JSON serializable/;
const NO_CHUNK = /a chunk of a streamed response must be str or bytes-like, not int/;
/** What logging's own formatting raised, where that was not caught. */
const FORMATTING = /<library>\/logging\/__init__\.py/;
const EXIT = /^exit 1$/;
const WAITING = /^waiting for next$/;
const NOTHING = /^\u2016*$/;
const ANY = /^/;
/** Our one line on stderr about an answer, against a traceback there. */
const COMPLAINT = /^\u2016*LAMBDA_RUNTIME [^\n]*\n\u2016*$/;
const TRACEBACK = /Traceback \(most recent call last\):\n[\s\S]*\n\S*(?:Error|Exception|RemoteDisconnected)[\s\S]*$/;
const CLIENT_LOG = /\[ERROR\] \[<time>\] LAMBDA_RUNTIME Failed to /;
const NO_CLIENT_LOG = /^(?:(?!LAMBDA_RUNTIME)[\s\S])*$/;

/** In the requests: exactly these, by their last words. */
const asked = (words: string): RegExp =>
  new RegExp(
    `^${words
      .split(' ')
      .map((word) => `(?:GET|POST) [^\\n]*/${word}`)
      .join('\\n')}$`,
  );

const SINCE_12 = ({ minor }: Runtime): boolean => minor >= 12;

const dies = (row: string, cases: RegExp, more: Behaviour['aspects'] = {}, on = (_: Runtime) => true): Behaviour => ({
  row,
  cases,
  on,
  aspects: {
    requests: [/\/next$/, /\/next$/],
    status: [EXIT, WAITING],
    stderr: [TRACEBACK, NOTHING],
    ...more,
  },
});

const behaviours: readonly Behaviour[] = [
  // JSON
  {
    row: 'event-nan',
    cases: /^event: (?:NaN|infinities)$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [/Runtime\.UnmarshalError: Unable to unmarshal input: Expecting value/, NOTHING],
      '#2 cause': [/^in /, /^absent$/],
      '#2 body': [/"Runtime\.UnmarshalError"/, /^\["(?:float", "nan"|list", "\[inf, -inf\]")\]$/],
    },
  },
  {
    row: 'event-utf-16',
    cases: /^event: UTF-16$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [/Runtime\.UnmarshalError/, NOTHING],
      '#2 cause': [/^in /, /^absent$/],
      '#2 body': [/"Runtime\.UnmarshalError"/, /^\["dict", "\{'a': 1\}"\]$/],
    },
  },
  {
    row: 'no-content-type',
    cases: /^event: content type: (?:none|empty)$/,
    aspects: { requests: [asked('next'), asked('next response next')], status: [/^SIGSEGV$/, WAITING] },
  },
  dies(
    'result-surrogate',
    /^result: a (?:lone surrogate|surrogate pair in two halves)$/,
    {
      requests: [asked('next'), asked('next error next')],
      stdout: [NOTHING, /Runtime\.MarshalError: Unable to marshal response: 'utf-8' codec/],
    },
    SINCE_12,
  ),
  // Handlers that only ours has
  {
    row: 'async-handler',
    cases: /^result: a coroutine function as the handler$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [/Runtime\.MarshalError: Unable to marshal response: Object of type coroutine/, NOTHING],
      stderr: [/RuntimeWarning: coroutine 'handler' was never awaited/, NOTHING],
      '#2 cause': [/^in /, /^absent$/],
      '#2 body': [/"Runtime\.MarshalError"/, /^1$/],
    },
  },
  {
    row: 'generators',
    cases: /^result: a generator(?: expression| function as the handler)?$/,
    aspects: {
      stdout: [NO_GENERATOR, NO_CHUNK],
      '#2 cause': [NO_GENERATOR, NO_CHUNK],
      '#2 body': [NO_GENERATOR, NO_CHUNK],
    },
  },
  {
    row: 'generators',
    cases: /^result: a generator of text$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [NO_GENERATOR, NOTHING],
      '#2 headers': [
        /^content-type: application\/json$/,
        /^content-type: application\/octet-stream\nlambda-runtime-function-response-mode: streaming\ntrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body$/,
      ],
      '#2 cause': [/^in /, /^absent$/],
      '#2 body': [NO_GENERATOR, /^oneé$/],
    },
  },
  // Context
  {
    row: 'bad-deadline',
    cases: /^context: an empty deadline$/,
    aspects: {
      requests: [asked('next'), asked('next response next')],
      status: [/^SIGABRT$/, WAITING],
      stderr: [/Assertion `ms > 0' failed/, NOTHING],
    },
  },
  {
    row: 'bad-deadline',
    cases: /^context: a deadline that is no number$/,
    aspects: {
      requests: [asked('next'), asked('next error next')],
      status: [/^SIGABRT$/, WAITING],
      stdout: [NOTHING, /ValueError: invalid literal for int\(\)/],
      stderr: [/Assertion `ms > 0' failed/, NOTHING],
    },
  },
  {
    row: 'no-function-arn',
    cases: /^context: (?:no|an empty) function ARN$/,
    aspects: { '#2 body': [/invoked_function_arn=,/, /invoked_function_arn=None,/] },
  },
  {
    row: 'complaints',
    cases: /^context: no request id$/,
    aspects: { stdout: [CLIENT_LOG, NO_CLIENT_LOG], stderr: [TRACEBACK, COMPLAINT] },
  },
  {
    row: 'odd-request-id',
    cases: /^context: an empty request id$/,
    aspects: {
      requests: [asked('next response next'), asked('next')],
      status: [WAITING, EXIT],
      stderr: [NOTHING, COMPLAINT],
    },
  },
  dies('odd-request-id', /^context: a request id with a slash and a space$/),
  {
    row: 'context-environment',
    cases: /^context: the handler changes the environment of the context$/,
    aspects: { '#4 body': [/^"changed"$/, /^"f"$/] },
  },
  // Answers
  {
    row: 'refused-posts',
    cases: /^answer: (?:response|error) answered with (?:400 (?:InvalidR|T)|404|410|413|429)/,
    aspects: {
      requests: [asked('next (?:response|error)'), asked('next (?:response|error) next (?:response|error) next')],
      status: [EXIT, WAITING],
      stdout: [CLIENT_LOG, NO_CLIENT_LOG],
      stderr: [TRACEBACK, COMPLAINT],
    },
  },
  {
    row: 'headers-too-large',
    cases: /^answer: error answered with 431$/,
    aspects: {
      requests: [asked('next error'), asked('next error error next error next')],
      status: [EXIT, WAITING],
      stdout: [CLIENT_LOG, NO_CLIENT_LOG],
      stderr: [TRACEBACK, NOTHING],
    },
  },
  {
    row: 'complaints',
    cases: /^answer: (?:response|error) answered with (?:400 InvalidF|403|50\d)/,
    aspects: { stdout: [CLIENT_LOG, NO_CLIENT_LOG], stderr: [TRACEBACK, COMPLAINT] },
  },
  {
    row: 'complaints',
    cases: /^answer: next(?: answered with|: (?:dropped|no HTTP|a status that|a chunk size))/,
    aspects: { stdout: [CLIENT_LOG, NO_CLIENT_LOG], stderr: [TRACEBACK, COMPLAINT] },
  },
  {
    row: 'complaints',
    cases: /^answer: init error /,
    aspects: { stderr: [TRACEBACK, COMPLAINT] },
  },
  {
    row: 'repeated-header',
    cases: /^answer: next: the same header twice$/,
    aspects: { requests: [/^(?:(?!request-2)[\s\S])*$/, /request-2\/response/] },
  },
  {
    row: 'dropped-posts',
    cases: /^answer: (?:response|error) dropped before the answer$/,
    aspects: {
      requests: [
        asked('next (?:response|error)'),
        asked('next (?:response|error) (?:response|error) next (?:response|error) next'),
      ],
      status: [EXIT, WAITING],
      stdout: [NO_CLIENT_LOG, NO_CLIENT_LOG],
      stderr: [TRACEBACK, NOTHING],
    },
  },
  // Errors
  dies('error-surrogate', /^error: raises a lone surrogate in the message$/, {
    requests: [asked('next'), asked('next error next error next')],
    stdout: [NOTHING, /ValueError: \\ud800/],
  }),
  dies('error-str-raises', /^error: raises a __str__ that /, {
    requests: [asked('next'), asked('next error next error next')],
    stdout: [NOTHING, /Bad: <exception str\(\) failed>/],
  }),
  {
    row: 'error-str-raises',
    cases: /^init: fails with a __str__ that raises$/,
    aspects: {
      requests: [/^$/, /^POST \S*\/init\/error$/],
      stdout: [NOTHING, /Bad: <exception str\(\) failed>/],
      stderr: [TRACEBACK, NOTHING],
    },
  },
  dies('error-no-directory', /^error: raises no working directory$/, {
    requests: [asked('next'), asked('next error next error next')],
    stdout: [NOTHING, /ValueError: where/],
  }),
  {
    row: 'stack-depth',
    cases: /^error: raises endless recursion$/,
    aspects: {
      stdout: [/line repeated \d+ more times/, /line repeated \d+ more times/],
      '#2 cause': [/^RecursionError: /m, /^RecursionError: /m],
      '#2 body': [/line repeated \d+ more times/, /line repeated \d+ more times/],
      '#4 cause': [/^RecursionError: /m, /^RecursionError: /m],
      '#4 body': [/line repeated \d+ more times/, /line repeated \d+ more times/],
    },
  },
  {
    row: 'cause-size',
    cases: /^error: raises a message of (?:100 KB|2 MB)$/,
    aspects: {
      '#2 cause': [/^(?:in [^\n]*\nValueError: "x{100000}" |absent$)/, /^in [^\n]*\nValueError: "x{8192}" /],
      '#4 cause': [/^(?:in [^\n]*\nValueError: "x{100000}" |absent$)/, /^in [^\n]*\nValueError: "x{8192}" /],
    },
  },
  // Init
  {
    row: 'importlib-frame',
    cases: /^init: handler (?:\.\/|\/|\.)app\.handler, /,
    aspects: {
      stdout: [/importlib\/__init__\.py", line \d+, in import_module/, /<frozen make_runtime\.handler>/],
      '#1 body': [/importlib\/__init__\.py\\", line \d+, in import_module/, /<frozen make_runtime\.handler>/],
    },
  },
  {
    row: 'hidden-library',
    cases: /^init: (?:handler queue\.handler, |files of the task root that hide the library)/,
    aspects: {
      requests: [/^$/, asked('next response next')],
      status: [EXIT, WAITING],
      stderr: [TRACEBACK, NOTHING],
    },
  },
  {
    row: 'no-handler',
    cases: /^init: no handler$/,
    aspects: { stderr: [/KeyError: '_HANDLER'\n$/, /ValueError: Handler not set\n$/] },
  },
  {
    row: 'init-error-bytes',
    cases: /^init: fails with a ValueError$/,
    on: SINCE_12,
    aspects: { '#1 body': [/^Latin-1 .*"at import é"/, /^\{.*"at import é"/] },
  },
  {
    row: 'search-path',
    cases: /^init: the search path$/,
    aspects: {
      '#2 body': [
        /^(\["<task>", ("<opt>[^"]*\/site-packages"), "<opt>\/python"), (?:"<opt>\/python", )?\2\]$/,
        /^\["<task>", (?:"<opt>[^"]*t\/site-packages", )?"<opt>[^"]*\d\/site-packages", "<opt>\/python"\]$/,
      ],
    },
  },
  // Output
  {
    row: 'record-end',
    cases: /^output: logging: a formatter of its own, (?:Text|JSON)$/,
    aspects: {
      stdout: [
        /^\u2016request-1 one;request-1 two;\u2016\u2016$/,
        /^\u2016request-1 one;\nrequest-1 two;\n\u2016\u2016$/,
      ],
    },
  },
  {
    row: 'record-errors',
    cases:
      /^output: logging (?:arguments that do not fit|a dictionary with arguments), (?:Text|JSON)$|^output: logging exc_info without an exception, Text$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [FORMATTING, NOTHING],
      stderr: [NOTHING, /^--- Logging error ---\nTraceback [\s\S]*\nArguments: \([^\n]*\)\n$/],
      '#2 cause': [FORMATTING, /^absent$/],
      '#2 body': [FORMATTING, /^null$/],
    },
  },
  {
    row: 'record-errors',
    cases: /^output: logging exc_info without an exception, JSON$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [FORMATTING, /"message": "none"/],
      '#2 cause': [FORMATTING, /^absent$/],
      '#2 body': [FORMATTING, /^null$/],
    },
  },
  {
    row: 'record-values',
    cases: /^output: logging an extra (?:that circles|with a tuple key), JSON$/,
    aspects: {
      requests: [asked('next error next'), asked('next response next')],
      stdout: [
        /"errorType": "(?:ValueError|TypeError)"/,
        /^\{"timestamp": [^\n]*"message": "x"[^\n]*": "\{[^\n]*\}"\}\n$/,
      ],
      '#2 cause': [/^frame <library>\/json\/encoder\.py /m, /^absent$/],
      '#2 body': [/<library>\/json\/encoder\.py/, /^null$/],
    },
  },
  {
    row: 'flushing',
    cases: /^output: prints (?:to both, pieces|from a child process, pieces)$/,
    aspects: { stdout: [/^\u2016(?:o0 e0 o1 e1|before child)/, /^\u2016(?:o0 o1 o2 e0|child\nbefore)/] },
  },
  {
    row: 'stdout-class',
    cases: /^output: prints a lone surrogate$/,
    aspects: {
      stdout: [/in write\r\u00a0{4}self\.stream\.write/, /^(?:(?!in write)[\s\S])*$/],
      '#2 cause': [/ write \{\}\n/, /^(?:(?! write )[\s\S])*$/],
      '#2 body': [/in write\\n {4}self\.stream/, /^(?:(?!in write)[\s\S])*$/],
      '#4 cause': [/ write \{\}\n/, /^(?:(?! write )[\s\S])*$/],
      '#4 body': [/in write\\n {4}self\.stream/, /^(?:(?!in write)[\s\S])*$/],
    },
  },
  {
    row: 'stdout-class',
    cases: /^output: prints what write returns$/,
    aspects: { '#2 body': [/^null$/, /^5$/], '#4 body': [/^null$/, /^5$/] },
  },
  // The process
  {
    row: 'argv',
    cases: /^process: the function sees sys\.argv$/,
    aspects: { '#2 body': [/^\["<managed>\/bootstrap\.py"\]$/, /^\["<bootstrap>"\]$/] },
  },
  {
    row: 'flags',
    cases: /^process: the function sees sys\.flags$/,
    aspects: {
      '#2 body': [/\["dont_write_bytecode", 0\].*\["no_site", 0\]/, /\["dont_write_bytecode", 1\].*\["no_site", 1\]/],
    },
  },
  {
    row: 'interactive-builtins',
    cases: /^process: the function sees builtins that site adds$/,
    aspects: { '#2 body': [/^\[true, true, true, true, true, true\]$/, /^\[true, true, true, false, false, false\]$/] },
  },
  {
    row: 'child-pythonpath',
    cases: /^process: the function sees PYTHONPATH in the environment$/,
    aspects: { '#2 body': [/^"\/var\/runtime"$/, /^null$/] },
  },
  {
    row: 'main-file',
    cases: /^process: the function sees __main__$/,
    aspects: { '#2 body': [/^\["__main__", true\]$/, /^\["__main__", false\]$/] },
  },
  {
    row: 'escaping',
    cases:
      /^process: environment (?:AWS_EXECUTION_ENV=(?:AWS_Lambda_Image|AWS_Lambda_python3\.9|own)|without AWS_EXECUTION_ENV)$/,
    on: SINCE_12,
    aspects: { '#2 body': [/^"\\u00e9"$/, /^"é"$/], '#4 body': [/"\\u00e9"/, /"é"/] },
  },
  {
    row: 'escaping',
    cases: /^process: environment AWS_EXECUTION_ENV=AWS_Lambda_python3\.15$/,
    on: ({ minor }) => minor < 12,
    aspects: { '#2 body': [/^"é"$/, /^"\\u00e9"$/], '#4 body': [/"é"/, /"\\u00e9"/] },
  },
  {
    row: 'preview-warning',
    cases: /^process: environment AWS_EXECUTION_ENV=AWS_Lambda_python3\.15$/,
    aspects: { stdout: [/^\[WARNING\]\S* *.*preview runtime version/, /^(?:(?!preview)[\s\S])*$/] },
  },
  {
    row: 'sigterm',
    cases: /^process: SIGTERM with (?:a handler|a handler that raises|exit functions)(?:, while waiting for next)?$/,
    aspects: {
      status: [/^does not end$/, /^exit [013]$/],
      stdout: [ANY, /(?:at exit|terminating)\n$/],
      stderr: [ANY, /ValueError: in the signal handler\n$/],
    },
  },
];

/** What stands behind a row; `cases` is for behaviours. */
export interface Rule {
  readonly row: string;
  readonly cases?: RegExp;
  readonly on?: (runtime: Runtime) => boolean;
}

export const rules: readonly Rule[] = [...wordings, ...behaviours];

export interface Explained {
  /** What no rule explains. */
  readonly left: readonly Difference[];
  /** The rules that explained something. */
  readonly used: ReadonlySet<Rule>;
}

export function explain(name: string, runtime: Runtime, found: readonly Difference[]): Explained {
  const used = new Set<Rule>();
  const left = found.filter((difference) => {
    const { aspect, there, here } = difference;
    for (const rule of behaviours) {
      const { cases, on, aspects } = rule;
      const patterns = cases.test(name) && (on?.(runtime) ?? true) ? aspects[aspect] : undefined;
      if (patterns?.[0].test(there) && patterns[1].test(here)) {
        used.add(rule);
        return false;
      }
    }
    const applied: Wording[] = [];
    let one = there;
    let other = here;
    for (const wording of wordings) {
      const rewritten = (text: string, how: Wording['there']) =>
        // The cast: `replace` takes both, but each in an overload of its own.
        (how ?? []).reduce((result, [pattern, to]) => result.replace(pattern, to as string), text);
      const [first, second] = [rewritten(one, wording.there), rewritten(other, wording.here)];
      const changes = [first !== one, second !== other];
      if (wording.both ? !changes.every(Boolean) : !changes.some(Boolean)) continue;
      applied.push(wording);
      [one, other] = [first, second];
    }
    if (one.replaceAll('[, ', '[') !== other.replaceAll('[, ', '[')) return true;
    for (const wording of applied) used.add(wording);
    return false;
  });
  return { left, used };
}
