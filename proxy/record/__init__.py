"""The writing wing: bytes carried, tasks kept.

caller      a caller's connection: whole calls out of bytes         } the path of bytes: it never reads,
prepare     a request's head -> all that is decided about it        } stores or waits, save for the journal
carry       carries one call; alone holds both of its connections   } and the last bytes of an answer
outlet      the way out to a caller, held where the journal must be first
tunnel      takes a call's place once both ends speak WebSocket
upstream    one upstream and its free connections; `connection` is one of them, `dial` makes their sockets
relay       one worker: its callers, its calls, its clock (`house` is what a call sees of it)
tap         sees bytes go by; never waits; ends once
journal     the durable memory of what the tap saw
board       counters that outlive the process that counts

recorder    journal -> reading -> store, then forgets               } the desk's side
segments    reads a journal while it is written
assembly    the records of one call -> the call
reading     a call -> a task, with the help of wire/
accounts    where every call is

http1, fields, headers, routes, frames, ids, redact*, kept_*, labels, aliases, baggage: pure, used by those above.
"""
