"""`python -m users`: the HTTP service."""

from shared.serve import main
from users.settings import UsersSettings

if __name__ == "__main__":
    main("users.app:create_app", UsersSettings, name="users")
