"""A simulated history as other systems would have written it: to try a source, and to test its adapter.

`History.of` takes the records of `simulate`. `Exchange` tells what happened in an Asterisk, and the modules `ami`,
`cel`, `cdr` and `queue_log` write that as Asterisk would. `bitrix24` has the rows of a portal, `bitrix24_rest` answers
with them; `hubspot` is an account that answers. `export` writes a table of calls, `bodies` what a sender would post.
`freeswitch_events` has the events of the channels whose records are in `freeswitch`. Nothing here imports an
adapter: these modules follow the documentation of the systems.
"""
