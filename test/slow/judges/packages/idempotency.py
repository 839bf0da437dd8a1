# Powertools' idempotency with a store of our own: the decorator, its hashing and its timeouts are what is tested.
import datetime

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer, DataRecord
from interpreter import interpreter


class Memory(BasePersistenceLayer):
    def __init__(self):
        super().__init__()
        self.records = {}

    def _get_record(self, idempotency_key):
        try:
            return self.records[idempotency_key]
        except KeyError:
            raise IdempotencyItemNotFoundError from None

    def _put_record(self, data_record):
        now = int(datetime.datetime.now().timestamp())
        there = self.records.get(data_record.idempotency_key)
        if there is not None and there.expiry_timestamp > now:
            raise IdempotencyItemAlreadyExistsError(old_data_record=there)
        self.records[data_record.idempotency_key] = data_record

    def _update_record(self, data_record):
        self.records[data_record.idempotency_key] = DataRecord(
            idempotency_key=data_record.idempotency_key,
            status=data_record.status,
            expiry_timestamp=data_record.expiry_timestamp,
            response_data=data_record.response_data,
        )

    def _delete_record(self, data_record):
        self.records.pop(data_record.idempotency_key, None)


runs = 0


@idempotent(config=IdempotencyConfig(event_key_jmespath="payment"), persistence_store=Memory())
def handler(event, context):
    global runs
    runs += 1
    if event.get("fail"):
        raise RuntimeError("not paid")
    return {"runs": runs, **interpreter()}
