"""client, port 9000: the pages. It keeps nothing: what a visitor sees comes from the services' public routes.

How a page is added, in three files (more in docs/pages.md):

1. A function in `pages/<part>.py`, which takes the visit and what its path names:

       @pages.get("/things/<uuid:thing_id>", access=SIGNED_IN)
       def show_thing(visit: Visit, thing_id: UUID) -> Response:
           return visit.render("thing.html", thing=api.thing(visit.calls, str(thing_id)))

   What changes something is a `@pages.post`, which ends with `visit.redirect("/things", notice="thing_changed")`.
   A new part is listed in `pages/__init__.py`.
2. What it asks of a service, as a function in `api.py` (or a file of the part beside it): the visit's `Calls` first.
3. `templates/thing.html`, which extends `base.html`. Its texts stand in `{% trans %}` or `_("…")`; afterwards
   `python -m client.catalogues PART` puts those that are new into `translations/<language>/PART.po`, and a
   test fails until each has its translation.

`kernel/` is what all pages share: sessions, forms and their proof of origin, languages, errors, drawing.
"""
