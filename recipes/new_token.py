"""How does another program, or a colleague, get access to a model server?"""

from dataclasses import dataclass

from framework import run
from framework.recipe import write_report
from framework.serving.token_file import add_token, default_file, revoke_token


@dataclass(frozen=True)
class Config:
    name: str  # whose token it is
    roles: tuple[str, ...] = ("predict",)  # what it opens: predict, read, train or admin
    per_minute: float | None = None  # requests that are answered; as many as come by default
    file: str | None = None  # of digests; FRAMEWORK_SERVE_TOKENS names it, to the server too; else tokens.json
    revoke: bool = False  # take the token out of the file instead
    seed: int = 0  # a token is never made from a seed; every recipe takes one
    out: str | None = None  # a folder for report.json, without the token


SMOKE = Config("dashboard", roles=("read",))


def main(config: Config) -> str:
    path = default_file(config.file)
    if config.revoke:
        revoke_token(path, config.name)
        print(f"{config.name} is no longer in {path}; a running server knows at its next `recipes.serve`")
        token = ""
    else:
        token = add_token(path, config.name, roles=config.roles, per_minute=config.per_minute)
        print(f"{path} holds its digest. The token itself is shown this once:\n{token}")
    write_report(config, name=config.name, file=str(path))
    return token


if __name__ == "__main__":
    run(main)
