"""`python -m shop_consumer`: the consumer and its HTTP side."""

from shared.serve import main
from shop_consumer.settings import ConsumerSettings

if __name__ == "__main__":
    main("shop_consumer.app:create_app", ConsumerSettings, name="shop-consumer")
