"""The handler's second argument: names, types and texts of the managed runtime's LambdaContext.

Refuses to know HTTP: it gets the headers' values.
"""

import sys
import time

from make_runtime import settings

# The keys of a client context's "w3c" object that w3c() shows (W3C Trace Context and Baggage).
W3C_FIELDS = ('traceparent', 'tracestate', 'baggage')


class CognitoIdentity:
    __slots__ = ('cognito_identity_id', 'cognito_identity_pool_id')

    def __init__(self, values=None):
        if values is None:
            self.cognito_identity_id = self.cognito_identity_pool_id = None
        else:
            self.cognito_identity_id = values.get('cognitoIdentityId')
            self.cognito_identity_pool_id = values.get('cognitoIdentityPoolId')

    def __repr__(self):
        return 'CognitoIdentity([cognito_identity_id=%s,cognito_identity_pool_id=%s])' % (
            self.cognito_identity_id,
            self.cognito_identity_pool_id,
        )


# Of every context, in the order in which vars() shows them; None is filled in by the invocation.
_FIELDS = {
    'aws_request_id': None,
    'log_group_name': settings.log_group_name,
    'log_stream_name': settings.log_stream_name,
    'function_name': settings.function_name,
    'memory_limit_in_mb': settings.memory_limit_in_mb,
    'function_version': settings.function_version,
    'invoked_function_arn': None,
    'tenant_id': None,
    '_w3c_fields': None,
    'client_context': None,
    'identity': None,
    '_epoch_deadline_time_in_ms': None,
}


class LambdaContext:
    def __init__(self, request_id, client_context, identity, deadline_ms, function_arn=None, tenant_id=None):
        """client_context and identity: dicts or None. deadline_ms: epoch milliseconds."""
        # All attributes in one go: a free-threaded 3.13 looks each of them up anew when they are set one by one.
        fields = _FIELDS.copy()
        fields['aws_request_id'] = request_id
        fields['invoked_function_arn'] = function_arn
        fields['tenant_id'] = tenant_id
        if client_context is None:
            fields['_w3c_fields'] = {}
        else:
            fields['_w3c_fields'] = _take_w3c(client_context)
            fields['client_context'] = _client_context(client_context)
        fields['identity'] = CognitoIdentity(identity)
        fields['_epoch_deadline_time_in_ms'] = deadline_ms
        self.__dict__ = fields

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def w3c(self):
        return dict(self._w3c_fields)

    def log(self, msg):
        logging = sys.modules.get('logging')
        if logging is None:
            # There is no handler to ask: the sink it would have.
            from make_runtime import sink

            sink.current().log(str(msg))
            return
        for handler in logging.getLogger().handlers:
            if hasattr(handler, 'log_sink'):
                handler.log_sink.log(str(msg))
                return
        sys.stdout.write(str(msg))

    def __repr__(self):
        fields = (
            'aws_request_id',
            'log_group_name',
            'log_stream_name',
            'function_name',
            'memory_limit_in_mb',
            'function_version',
            'invoked_function_arn',
            'client_context',
            'identity',
            'tenant_id',
        )
        shown = ','.join('%s=%s' % (field, getattr(self, field)) for field in fields)
        return '%s([%s])' % (type(self).__name__, shown)


def _client_context(values):
    from make_runtime.client_context import ClientContext

    return ClientContext(values)


def _take_w3c(client_context):
    """Removes "w3c" from the client context and returns what of it may be shown."""
    if not isinstance(client_context, dict):
        return {}
    values = client_context.pop('w3c', None)
    if not isinstance(values, dict):
        return {}
    return {field: values[field] for field in W3C_FIELDS if isinstance(values.get(field), str)}
