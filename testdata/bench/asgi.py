"""What uvicorn serves in ../../bench: a small JSON answer of a route with a parameter, by starlette."""
import knock
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

KNOCKER = knock.start_if_asked()


async def basket(request):
    number = int(request.path_params["number"])
    items = [{"id": i, "price": (number * i) % 97, "name": "item %d" % i} for i in range(20)]
    return JSONResponse({"basket": number, "items": items, "total": sum(item["price"] for item in items)})


app = Starlette(routes=[Route("/basket/{number}", basket)])
