"""A loop that does nothing but iterate: argv[1] iterations in each of argv[2] runs."""
import asyncio
import sys

from fixedwork import report, wait_for_go

each, runs = int(sys.argv[1]), int(sys.argv[2])


async def spin():
    for _ in range(each):
        await asyncio.sleep(0)


async def main():
    begin = wait_for_go()
    for _ in range(runs):
        await spin()
    report(begin, each * runs)


asyncio.run(main())
