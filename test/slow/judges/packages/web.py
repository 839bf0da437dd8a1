# FastAPI behind Mangum: an ASGI application with async and sync routes (the latter in threads) and pydantic's checks.
import contextlib

from fastapi import FastAPI
from interpreter import interpreter
from mangum import Mangum
from pydantic import BaseModel, Field

started = 0


@contextlib.asynccontextmanager
async def lifespan(app):
    global started
    started += 1
    yield


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    name: str
    amount: float = Field(gt=0)


@app.post("/orders", status_code=201)
async def create(order: Order):
    return {"order": order, "started": started, **interpreter()}


@app.get("/threads")
def threads(q: str = ""):
    import threading

    return {"q": q, "main": threading.current_thread() is threading.main_thread()}


handler = Mangum(app)
