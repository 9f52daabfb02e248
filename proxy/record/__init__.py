"""The writing wing: bytes carried, tasks kept.

caller      a caller's connection: whole calls out of bytes        } the path of bytes:
relay       carries one call; alone holds both connections         } never reads, stores or waits,
upstream    pooled connections to the upstreams                    } save for the last byte
tap         sees bytes go by; never waits; ends once               }
journal     the durable memory of what the tap saw                 }
http1, headers, routes, redact, frames: pure, used by those above

recorder    journal -> reading -> store, then forgets              } the desk's side
reading     a call -> a task, with the help of wire/               }
"""
