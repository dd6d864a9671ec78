"""How the processes of a site find each other."""

from matchday.processes import ProcessSpec, addresses, choose_ports

SPECS = [
    ProcessSpec("reservations", "reservations", 3020, "RESERVATIONS_URL"),
    ProcessSpec("reservations-worker", "reservations.worker"),
    ProcessSpec(
        "mailbox", "matchday.mailbox", 18025, "SMTP_URL", "smtp://{host}:{MAILBOX_SMTP_PORT}",
        further_ports=(("MAILBOX_SMTP_PORT", 11025),),
    ),
]  # fmt: skip


def test_every_port_that_a_process_listens_on_is_chosen() -> None:
    ports = choose_ports(SPECS, lambda _spec, port: port + 100)
    assert ports == {"reservations": 3120, "mailbox": 18125, "MAILBOX_SMTP_PORT": 11125}


def test_each_process_is_told_where_the_others_are() -> None:
    ports = choose_ports(SPECS, lambda _spec, port: port)
    assert addresses(SPECS, ports, {}) == {
        "RESERVATIONS_URL": "http://127.0.0.1:3020",
        "SMTP_URL": "smtp://127.0.0.1:11025",
        "MAILBOX_SMTP_PORT": "11025",
    }


def test_an_address_that_the_operator_gives_wins() -> None:
    ports = choose_ports(SPECS, lambda _spec, port: port)
    assert addresses(SPECS, ports, {"RESERVATIONS_URL": "http://a.example"})["RESERVATIONS_URL"] == "http://a.example"
