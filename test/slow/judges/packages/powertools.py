# Powertools for AWS Lambda: logger, tracer, metrics and event handler in one function, as its own tutorial has them.
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from interpreter import interpreter

logger = Logger(service="orders")
tracer = Tracer(service="orders")
metrics = Metrics(namespace="Shop", service="orders")
app = APIGatewayHttpResolver()


@app.get("/orders/<number>")
@tracer.capture_method
def order(number: str):
    if number == "0":
        raise NotFoundError("no such order")
    logger.info("found", extra={"number": number})
    metrics.add_metric(name="Found", unit=MetricUnit.Count, value=1)
    return {"number": int(number), **interpreter()}


@app.exception_handler(ZeroDivisionError)
def divided(error):
    logger.exception("divided")
    return Response(status_code=500, content_type="application/json", body='{"caught": "%s"}' % error)


@app.post("/divide")
def divide():
    return {"result": 1 / app.current_event.json_body["by"]}


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    return app.resolve(event, context)
