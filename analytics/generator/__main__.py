"""`python -m analytics.generator`: synthetic sales and events into the topics or a lake."""

from analytics.generator.command import generate

if __name__ == "__main__":
    generate(prog_name="python -m analytics.generator")
