"""A loop of trio that times its own iterations, as loopclock does for asyncio's."""
import trio

import loopclock


class Instrument(trio.abc.Instrument):
    def __init__(self):
        self.iterations = loopclock.Iterations()

    def before_io_wait(self, timeout):
        self.iterations.waits()

    def after_io_wait(self, timeout):
        # trio does not tell whether there were events: then the iteration began when the wait did, at the earliest.
        self.iterations.goes_on(True, None)


def main(once):
    instrument = Instrument()

    async def again():
        await trio.sleep(0.01)
        token = trio.lowlevel.current_trio_token()
        loopclock.begin(lambda: token.run_sync_soon(int))
        while loopclock.running:
            await once()
            await trio.sleep(0.005)

    trio.run(again, instruments=[instrument])
    loopclock.end(instrument.iterations)
