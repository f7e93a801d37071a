"""What gunicorn serves in ../../bench: a hundred rows of a database in memory, by flask. Each row that sqlite steps to
drops the GIL and takes it again: some two hundred times a request."""
import sqlite3
import threading

import flask
import knock

KNOCKER = knock.start_if_asked()
OWN = threading.local()
app = flask.Flask(__name__)


def database():
    """The database of this thread."""
    if not hasattr(OWN, "db"):
        OWN.db = sqlite3.connect(":memory:")
        OWN.db.execute("create table item (id integer primary key, price integer, name text)")
        OWN.db.executemany("insert into item values (?, ?, ?)", [(i, i * 7 % 97, "item %d" % i) for i in range(200)])
    return OWN.db


@app.route("/basket/<int:number>")
def basket(number):
    rows = database().execute("select id, price, name from item where id >= ? limit 100", (number % 100,))
    return {"basket": number, "items": [{"id": i, "price": price, "name": name} for i, price, name in rows]}
