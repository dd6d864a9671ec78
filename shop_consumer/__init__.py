"""shop_consumer, port 3010: reads the master list and the sales log and keeps the counters.

Its HTTP side serves health with lag, refused records and their replay, evidence, and the recount.
"""
