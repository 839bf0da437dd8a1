"""The mobile SDKs' part of the context object: context.client_context.

Apart from context.py, because classes cost time at every start and few functions are called by a mobile SDK.
"""


class _Fields:
    """An object whose slots are filled from a dict, with None for what the dict does not have."""

    __slots__ = ()

    def __init__(self, values):
        for field in self.__slots__:
            setattr(self, field, values.get(field))

    def __repr__(self):
        shown = ','.join('%s=%s' % (field, getattr(self, field)) for field in self.__slots__)
        return '%s([%s])' % (type(self).__name__, shown)


class Client(_Fields):
    __slots__ = ('installation_id', 'app_title', 'app_version_name', 'app_version_code', 'app_package_name')


class ClientContext(_Fields):
    __slots__ = ('custom', 'env', 'client')

    def __init__(self, values):
        super().__init__(values)
        if self.client is not None:
            self.client = Client(self.client)
