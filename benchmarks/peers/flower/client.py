"""The silos' side of Flower's run: a module of its own, which Flower's actors import."""

from functools import cache
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.peers.federation import Asked


class Net(torch.nn.Module):
    """As `benchmarks.peers.federation` has it."""

    def __init__(self, columns: int, width: int, layers: int) -> None:
        super().__init__()
        self.slope, self.offset = (torch.nn.Parameter(torch.zeros(columns)) for _ in range(2))
        body: list[torch.nn.Module] = []
        for place in range(layers):
            body += [torch.nn.Linear(width if place else columns, width), torch.nn.ReLU()]
        self.body = torch.nn.Sequential(*body, torch.nn.Linear(width, 1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.body(rows * self.slope + self.offset)[:, 0]


@cache
def opened(folder: Path) -> tuple[Asked, dict[str, torch.Tensor], Net]:
    torch.set_num_threads(1)
    asked, rows, first = Asked.read(folder)
    made = Net(len(first["slope"]), asked.width, asked.layers)
    return asked, {name: torch.from_numpy(array) for name, array in rows.items()}, made


def client(folder: Path) -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        asked, rows, net = opened(folder)
        silo = asked.silos[int(context.node_config["partition-id"])]
        net.load_state_dict(message.content["arrays"].to_torch_state_dict())
        X, y = rows[f"X|{silo}"], rows[f"y|{silo}"]
        with torch.inference_mode():
            score = float((net(rows[f"valid X|{silo}"]) - rows[f"valid y|{silo}"]).square().mean())
        engine = torch.optim.SGD(net.parameters(), lr=asked.rate)
        number = int(message.content["config"]["server-round"])
        for part in torch.from_numpy(asked.order(silo, number, len(X))).split(asked.batch):
            engine.zero_grad()
            (net(X[part]) - y[part]).square().mean().backward()
            engine.step()
        told = MetricRecord({"num-examples": len(X), "valid_loss": score})
        return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": told}), reply_to=message)

    return app
