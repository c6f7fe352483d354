"""The cluster launcher's files, filled in and held against Ray's own schema, defaults and scheduler."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.scripts.scripts import start

from cluster.launch.render import RenderError, main, placeholders, render

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "cluster" / "launch").glob("*.yaml"))
SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
VALUES = {
    "ADMIN_CIDR": "192.0.2.0/24",
    "CLUSTER": "contest",
    "HEAD_IP": "192.0.2.1",
    "HEAD_MACHINE": "m7i.2xlarge",
    "IMAGE": "registry.example/contenders:1",
    "INSTANCE_PROFILE": "arn:aws:iam::000000000000:instance-profile/ray",
    "MACHINE_IMAGE": "ami-00000000",
    "MAX_WORKERS": "8",
    "PROJECT": "a-project",
    "REGION": "eu-west-1",
    "SECRETS": "~/.contenders/secrets",
    "SERVICE_ACCOUNT": "ray@a-project.example",
    "SHARED_FOLDER": "/mnt/shared",
    "SHARED_NFS": "192.0.2.9:/",
    "SSH_KEY": "~/.ssh/lab",
    "SSH_USER": "lab",
    "WORKER_CPUS": "8",
    "WORKER_GPUS": "1",
    "WORKER_IPS": "[192.0.2.2, 192.0.2.3]",
    "WORKER_MACHINE": "g6.2xlarge",
    "ZONE": "europe-west4-a",
    "ZONES": "eu-west-1a,eu-west-1b",
}


def rendered(name: str) -> dict[str, Any]:
    config = yaml.safe_load(render(ROOT / "cluster" / "launch" / f"{name}.yaml", VALUES))
    assert isinstance(config, dict)
    return config


def test_the_three_places_are_there_and_every_value_is_asked_for_somewhere() -> None:
    assert [path.stem for path in FILES] == ["aws", "gcp", "onpremise"]
    asked = {name for path in FILES for name in placeholders(path.read_text())}
    assert asked == set(VALUES)
    assert all(yaml.safe_load(path.read_text())["cluster_name"] == "${CLUSTER}" for path in FILES)  # YAML before, too


@pytest.mark.parametrize("name", ["aws", "gcp", "onpremise"])
def test_it_is_what_ray_s_schema_and_validator_take(name: str) -> None:
    config = rendered(name)
    jsonschema.validate(config, SCHEMA)
    validate_config(prepare_config(copy.deepcopy(config)))
    misspelt = config | {"head_start_ray_comands": config["head_start_ray_commands"]}
    with pytest.raises(jsonschema.ValidationError, match="head_start_ray_comands"):
        validate_config(prepare_config(misspelt))


@pytest.mark.parametrize("name", ["aws", "gcp", "onpremise"])
def test_nothing_is_installed_on_a_machine_but_the_image(name: str) -> None:
    """Ray fills what is left out from its defaults, which install another Ray."""
    whole = prepare_config(rendered(name))
    assert whole["setup_commands"] == whole["head_setup_commands"] == whole["worker_setup_commands"] == []
    assert whole["docker"]["image"] == VALUES["IMAGE"]


@pytest.mark.parametrize("name", ["aws", "gcp", "onpremise"])
def test_every_node_takes_the_token_and_the_dashboard_stays_on_loopback(name: str) -> None:
    whole = prepare_config(rendered(name))
    options = whole["docker"]["run_options"]
    assert "--env RAY_AUTH_MODE=token" in options
    (path,) = [option.split("=")[1] for option in options if "RAY_AUTH_TOKEN_PATH" in option]
    (mounted,) = whole["file_mounts"]
    assert Path(path).parent == Path(mounted)
    for role in ("head", "worker"):
        (starting,) = [command for command in whole[f"{role}_start_ray_commands"] if "ray start" in command]
        assert f". {mounted}/environment" in starting
        assert "$RAY_HEAD_IP" in starting or role == "head"
    head = " ".join(whole["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in head
    flags = set(re.findall(r"(--[a-z-]+)=", head + " ".join(whole["worker_start_ray_commands"])))
    known = {option for parameter in start.params for option in parameter.opts}
    assert "--port" in flags
    assert flags <= known


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_spot_machines_come_first_and_on_demand_ones_where_spot_has_failed(name: str) -> None:
    config = AutoscalingConfig(rendered(name), skip_content_hash=True)

    def launched(failed: dict[str, float]) -> dict[str, int]:
        two = [ResourceRequestUtil.make({"GPU": 1}, []), ResourceRequestUtil.make({"GPU": 1}, [])]
        asked = SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_nodes(),
            resource_requests=ResourceRequestUtil.group_by_count(two),
            recoverable_resource_availabilities=failed,
        )
        replied = ResourceDemandScheduler(event_logger=None).schedule(asked)
        assert not replied.infeasible_resource_requests
        return {each.instance_type: each.count for each in replied.to_launch}

    assert launched({}) == {"gpu_spot": 2}
    assert launched({"gpu_spot": 0.0}) == {"gpu_on_demand": 2}
    assert "RAY_enable_autoscaler_v2=1" in " ".join(rendered(name)["head_start_ray_commands"])


def test_the_head_is_on_demand_and_takes_no_fits() -> None:
    for name, market in (("aws", "InstanceMarketOptions"), ("gcp", "scheduling")):
        types = rendered(name)["available_node_types"]
        assert types["head"]["resources"] == {"CPU": 0}
        assert market not in types["head"]["node_config"]
        assert "SPOT" in json.dumps(types["gpu_spot"]).upper()
        assert market not in types["gpu_on_demand"]["node_config"] or "SPOT" not in json.dumps(
            types["gpu_on_demand"]["node_config"]
        )


def test_the_machines_own_cluster_is_all_its_addresses() -> None:
    whole = prepare_config(rendered("onpremise"))
    assert whole["max_workers"] == 2
    assert whole["provider"]["worker_ips"] == ["192.0.2.2", "192.0.2.3"]


def test_a_value_that_is_missing_or_strange_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE", raising=False)
    monkeypatch.delenv("NAME", raising=False)
    path = tmp_path / "x.yaml"
    path.write_text("image: ${IMAGE} # not ${THIS}\nrun: $SHELL ${lower}\nname: ${NAME}\n")
    assert main([str(path), "IMAGE=a=b", "NAME=c"]) == "image: a=b # not ${THIS}\nrun: $SHELL ${lower}\nname: c\n"
    with pytest.raises(RenderError, match=r"asks for IMAGE, NAME: pass IMAGE=… NAME=…\."):
        main([str(path)])
    with pytest.raises(RenderError, match=r"has no placeholder IMAEG\. It has: IMAGE, NAME"):
        main([str(path), "IMAEG=a"])
    with pytest.raises(RenderError, match="line break"):
        render(path, {"IMAGE": "a\nb", "NAME": "c"})
    with pytest.raises(RenderError, match="cannot be read"):
        main([str(tmp_path / "none.yaml")])
    with pytest.raises(RenderError, match="usage"):
        main([])
