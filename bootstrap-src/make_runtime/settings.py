"""What the environment says, read once at start from the C level: `os` need not be imported for it.

Knows names of environment variables. Refuses to know what is done with the values.
"""

import posix
import sys


def variable(name):
    """Value of an environment variable at start, or None. Empty counts as a value."""
    value = posix.environ.get(name.encode())
    return None if value is None else value.decode('utf-8', 'surrogateescape')


def take(name):
    """Value of an environment variable that neither user code nor child processes may see, or None."""
    value = variable(name)
    if value is not None:
        export(name, None)
    return value


def export(name, value):
    """Sets or (None) unsets a variable for user code and child processes, whether or not `os` is imported yet."""
    os = sys.modules.get('os')
    if os is not None:
        if value is not None:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
        return
    # `os`, imported later, builds os.environ from this very dict.
    key = name.encode()
    if value is not None:
        posix.environ[key] = value.encode('utf-8', 'surrogateescape')
        posix.putenv(key, posix.environ[key])
    elif posix.environ.pop(key, None) is not None:
        posix.unsetenv(key)


api_address = variable('AWS_LAMBDA_RUNTIME_API')
log_group_name = variable('AWS_LAMBDA_LOG_GROUP_NAME')
log_stream_name = variable('AWS_LAMBDA_LOG_STREAM_NAME')
function_name = variable('AWS_LAMBDA_FUNCTION_NAME')
function_version = variable('AWS_LAMBDA_FUNCTION_VERSION')
memory_limit_in_mb = variable('AWS_LAMBDA_FUNCTION_MEMORY_SIZE')
initialization_type = variable('AWS_LAMBDA_INITIALIZATION_TYPE')
graceful_shutdown = variable('MAKE_RUNTIME_GRACEFUL_SHUTDOWN') not in (None, '', '0')
log_fd = take('_LAMBDA_TELEMETRY_LOG_FD')
log_socket = variable('_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET')
json_logs = (variable('AWS_LAMBDA_LOG_FORMAT') or '').upper() == 'JSON'
log_level = (variable('AWS_LAMBDA_LOG_LEVEL') or '').upper()
if log_level == 'TRACE':  # not a level of Python's; the managed runtime takes the nearest
    log_level = 'DEBUG'

# The managed runtimes escape non-ASCII in responses up to 3.11 and write UTF-8 from 3.12. They tell by
# AWS_EXECUTION_ENV, which the platform does not set for OS-only runtimes; what is meant is the Python version.
ensure_ascii = sys.version_info < (3, 12)
user_agent = 'make-runtime-python/%d.%d.%d' % sys.version_info[:3]
