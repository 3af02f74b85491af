"""A simulated history in the forms of other systems: to try a source, and to test its adapter.

`History.of` takes the records of `simulate`. `Exchange` yields the facts of an Asterisk, and the modules `ami`, `cel`,
`cdr` and `queue_log` write them as Asterisk would. `bitrix24` has the rows of a portal, `bitrix24_rest` answers with
them; `hubspot` is an account that answers. `export` writes a table of calls, `bodies` the request bodies of a sender.
`freeswitch_events` has the events of the channels whose records are in `freeswitch`. No module here imports an adapter:
they follow the documentation of the systems.
"""
