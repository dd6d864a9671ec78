"""From the topics into the lake, each record once."""
