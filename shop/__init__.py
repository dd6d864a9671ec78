"""shop, port 3000: matches, prices, availability and the counters' own package, `shop.inventory`.

Reads its schema `shop`; sends and receives no Kafka message itself.
"""
