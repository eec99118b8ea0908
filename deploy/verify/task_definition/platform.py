"""Does it fit Fargate and the image's needs: mode, sizes, processor, and what Fargate refuses."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.findings.finding import CheckSkipped
from deploy.text import shown, words
from deploy.verify.context import CheckContext

GIB = 1024
# CPU units → MiB of memory that Fargate offers with them.
SIZES: dict[int, tuple[int, ...]] = {
    256: (512, 1 * GIB, 2 * GIB),
    512: tuple(range(1 * GIB, 4 * GIB + 1, GIB)),
    1024: tuple(range(2 * GIB, 8 * GIB + 1, GIB)),
    2048: tuple(range(4 * GIB, 16 * GIB + 1, GIB)),
    4096: tuple(range(8 * GIB, 30 * GIB + 1, GIB)),
    8192: tuple(range(16 * GIB, 60 * GIB + 1, 4 * GIB)),
    16384: tuple(range(32 * GIB, 120 * GIB + 1, 8 * GIB)),
}
UNIT = 1024  # CPU units of one CPU
STORAGE_GIB = (21, 200)  # ephemeralStorage; 20 GiB are there without asking
LINUX = "LINUX"
DRIVERS = ("awslogs", "splunk", "awsfirelens")
AWSLOGS = ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")
REFUSED = (
    "links",
    "hostname",
    "dnsServers",
    "dnsSearchDomains",
    "extraHosts",
    "dockerSecurityOptions",
    "credentialSpecs",
)
REFUSED_LINUX = ("devices", "sharedMemorySize", "maxSwap", "swappiness")


def size(case: CheckContext, key: str) -> int | None:
    """CPU units or MiB of the task, which may also be written as "1 vCPU" and "2 GB"; None where it is missing."""
    text = case.task.get(key)
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{1,6})|(\d{1,3}(?:\.\d{1,3})?) ?(vcpu|gb)", text.strip().lower(), re.ASCII)
    if parts is None or (parts[3] and (parts[3] == "vcpu") != (key == "cpu")):
        raise CheckSkipped(f"not looked at, since {key} is {shown(text)}")
    return int(parts[1]) if parts[1] else round(float(parts[2]) * UNIT)


@check(
    "NETWORK_MODE",
    "The network mode is awsvpc",
    why="On Fargate each task has a network interface of its own; other modes are refused. In this mode "
    "networkBindings of a running task is empty, which is no fault: look at networkInterfaces[].privateIpv4Address.",
    incident=8,
)
def network_mode(case: CheckContext) -> Iterator[Violation]:
    mode = case.task.get("networkMode")
    if mode != "awsvpc":
        said = "missing, which means bridge" if mode is None else shown(mode)
        repair = 'Set networkMode to "awsvpc".'
        yield fail(f'networkMode is {said}; Fargate takes only "awsvpc".', repair, case.at("networkMode", mode))


@check(
    "LAUNCH_TYPE",
    "The task definition is registered for Fargate",
    why="Without FARGATE among requiresCompatibilities ECS does not check it for Fargate, and the service refuses it.",
)
def launch_type(case: CheckContext) -> Iterator[Violation]:
    types = case.task.get("requiresCompatibilities", [])
    if "FARGATE" not in types:
        yield fail(
            f"requiresCompatibilities names {words(types)}, and the service runs on FARGATE.",
            'Set requiresCompatibilities to ["FARGATE"].',
            case.at("requiresCompatibilities", types),
        )


@check(
    "FARGATE_SIZE",
    "CPU and memory are a pair that Fargate offers",
    why="Fargate offers fixed pairs: 256 units with 0.5, 1 or 2 GB; 512 with 1 to 4; 1024 with 2 to 8; 2048 with 4 to "
    "16; 4096 with 8 to 30; 8192 with 16 to 60 in steps of 4; 16384 with 32 to 120 in steps of 8.",
)
def fargate_size(case: CheckContext) -> Iterator[Violation]:
    wrong = []
    for key, example in (("cpu", '"1024"'), ("memory", '"2048"')):
        try:
            if size(case, key) is None:
                wrong.append(fail(f"{key} of the task is missing.", f"Set {key}, e.g. {example}.", case.at(key, None)))
        except CheckSkipped:
            text = case.task.get(key)
            sentence = f"{key} of the task is {shown(text)}, which is no size; write it like {example}."
            wrong.append(fail(sentence, f"Set {key}, e.g. {example}.", case.at(key, text)))
    yield from wrong
    if wrong:
        return
    cpu, memory = size(case, "cpu") or 0, size(case, "memory") or 0
    if cpu not in SIZES:
        yield fail(
            f"cpu of the task is {cpu} units; Fargate offers {', '.join(map(str, SIZES))}.",
            f"Set cpu to {min(SIZES, key=lambda one: abs(one - cpu))}.",
            case.at("cpu", cpu),
        )
    elif memory not in SIZES[cpu]:
        offered = SIZES[cpu]
        nearest = next((one for one in offered if one >= memory), offered[-1])
        yield fail(
            f"memory of the task is {memory} MiB; with {cpu} CPU units Fargate offers {offered[0]} to {offered[-1]} "
            f"MiB in steps, of which {nearest} is next.",
            f"Set memory to {nearest}, or take another cpu.",
            case.at("memory", memory),
            case.at("cpu", cpu),
        )


@check(
    "MEMORY_BELOW_MINIMUM",
    "The memory is what the image was measured to need",
    why="The image refuses to start below the limit that it was measured to need under load, rather than be killed in "
    "the middle of a photo.",
)
def memory(case: CheckContext) -> Iterator[Violation]:
    least = case.contract.minimum.memory_mib
    limits = [("memory", size(case, "memory")), (f"{case.path}.memory", case.container.get("memory"))]
    for path, limit in limits:
        if limit is not None and limit < least:
            yield fail(
                f"{path} is {limit} MiB, and the image needs {least} MiB, measured under load.",
                f"Set {path} to {least} at least; Fargate's next size is "
                f"{next((one for one in SIZES[1024] if one >= least), least)}.",
                case.at(path, limit),
                case.asked("minimum.memory_mib", least),
            )
            return


@check(
    "CPU_BELOW_MINIMUM",
    "The CPU is what the image was measured to need",
    why="With less, the model does not answer within its deadline, and every answer comes from the heuristics.",
)
def cpu(case: CheckContext) -> Iterator[Violation]:
    units, least = size(case, "cpu"), case.contract.minimum.cpus
    if units is not None and units in SIZES and units < least * UNIT:
        yield fail(
            f"cpu of the task is {units} units, and the image needs {round(least * UNIT)} units ({least} CPUs).",
            f"Set cpu to {next((one for one in SIZES if one >= least * UNIT), max(SIZES))}.",
            case.at("cpu", units),
            case.asked("minimum.cpus", least),
        )


@check(
    "CONTAINER_SHARE",
    "The containers ask for no more than the task has",
    why="ECS refuses a task whose containers together reserve more CPU or memory than the task, or one that reserves "
    "more than its own limit.",
)
def share(case: CheckContext) -> Iterator[Violation]:
    for key in ("memory", "cpu"):
        all_of_it = size(case, key)
        asked = sum(one.get(key) or (key == "memory" and one.get("memoryReservation")) or 0 for one in case.containers)
        if all_of_it is not None and asked > all_of_it:
            yield fail(
                f"The containers ask for {key} {asked} together, and the task has {all_of_it}.",
                f"Raise the task's {key}, or lower the containers'.",
                case.at(f"containerDefinitions[].{key}", asked),
                case.at(key, all_of_it),
            )
    for place, one in enumerate(case.containers):
        reserved, limit = one.get("memoryReservation"), one.get("memory")
        if reserved is not None and limit is not None and reserved > limit:
            yield fail(
                f"Container {place + 1} reserves {reserved} MiB and is limited to {limit} MiB.",
                "Take memoryReservation out; the task's memory is enough.",
                case.at(f"containerDefinitions[{place}].memoryReservation", reserved),
                case.at(f"containerDefinitions[{place}].memory", limit),
            )


@check(
    "ARCHITECTURE",
    "The task's processor is the one that the image was built for",
    why="A task on another processor ends at once with `exec format error`. Where runtimePlatform is missing, ECS "
    "takes X86_64.",
)
def architecture(case: CheckContext) -> Iterator[Violation]:
    stated = case.task.get("runtimePlatform", {}).get("cpuArchitecture")
    needed = case.contract.ecs_architecture
    if (stated or "X86_64") != needed:
        said = "missing, which means X86_64" if stated is None else shown(stated)
        yield fail(
            f"runtimePlatform.cpuArchitecture is {said}, and the image is built for {case.contract.architecture} "
            f"({needed}).",
            f'Set runtimePlatform.cpuArchitecture to "{needed}", or build the image for the other processor.',
            case.at("runtimePlatform.cpuArchitecture", stated),
            case.asked("architecture", case.contract.architecture),
        )


@check("OPERATING_SYSTEM", "The task's system is Linux", why="The image is a Linux image; it starts nowhere else.")
def system(case: CheckContext) -> Iterator[Violation]:
    stated = case.task.get("runtimePlatform", {}).get("operatingSystemFamily", LINUX)
    if stated != LINUX:
        yield fail(
            f"runtimePlatform.operatingSystemFamily is {shown(stated)}, and the image is built for LINUX.",
            'Set runtimePlatform.operatingSystemFamily to "LINUX".',
            case.at("runtimePlatform.operatingSystemFamily", stated),
        )


@check(
    "ESSENTIAL",
    "The container that serves is essential",
    why="When a container that is not essential ends, the task goes on without it. ECS refuses a task without any.",
)
def essential(case: CheckContext) -> Iterator[Violation]:
    if case.container.get("essential", True) is not True:
        yield fail(
            "essential is false for the container that serves, so the task would live on after its end.",
            "Set essential to true.",
            case.inside("essential", False),
        )


@check(
    "FARGATE_REFUSES",
    "Nothing is asked for that Fargate refuses",
    why="Fargate runs no privileged containers, shares no host namespaces, paths, devices or names, and adds no "
    "capability but SYS_PTRACE.",
)
def refused(case: CheckContext) -> Iterator[Violation]:
    asked = []
    for place, one in enumerate(case.containers):
        path = f"containerDefinitions[{place}]"
        asked += [(f"{path}.{key}", one[key]) for key in REFUSED if one.get(key)]
        asked += [(f"{path}.{key}", True) for key in ("privileged", "disableNetworking") if one.get(key)]
        linux = one.get("linuxParameters", {})
        asked += [(f"{path}.linuxParameters.{key}", linux[key]) for key in REFUSED_LINUX if linux.get(key) is not None]
        added = [name for name in linux.get("capabilities", {}).get("add", []) if name != "SYS_PTRACE"]
        asked += [(f"{path}.linuxParameters.capabilities.add", added)] if added else []
        asked += [(f"{path}.resourceRequirements", "GPU or accelerator")] if one.get("resourceRequirements") else []
    task = case.task
    asked += [(key, task[key]) for key in ("placementConstraints", "inferenceAccelerators", "ipcMode") if task.get(key)]
    asked += [("pidMode", "host")] if task.get("pidMode") == "host" else []
    for place, volume in enumerate(task.get("volumes", [])):
        if (path := volume.get("host", {}).get("sourcePath")) is not None:
            asked.append((f"volumes[{place}].host.sourcePath", path))
        if volume.get("dockerVolumeConfiguration"):
            asked.append((f"volumes[{place}].dockerVolumeConfiguration", "a volume of Docker's"))
    for where, value in asked:
        yield fail(f"{where} is {shown(value)}, which Fargate refuses.", f"Take {where} out.", case.at(where, value))


@check(
    "EPHEMERAL_STORAGE",
    "The task's disk is of a size that Fargate offers",
    why="20 GiB are there without asking; ephemeralStorage may ask for 21 to 200.",
)
def storage(case: CheckContext) -> Iterator[Violation]:
    asked = case.task.get("ephemeralStorage", {}).get("sizeInGiB", STORAGE_GIB[0])
    if not STORAGE_GIB[0] <= asked <= STORAGE_GIB[1]:
        yield fail(
            f"ephemeralStorage.sizeInGiB is {asked}; Fargate takes {STORAGE_GIB[0]} to {STORAGE_GIB[1]}.",
            "Take ephemeralStorage out: 20 GiB are there without asking.",
            case.at("ephemeralStorage.sizeInGiB", asked),
        )


@check(
    "LOGS",
    "The container's log goes where Fargate can send it",
    why="Without a log nobody can tell why a task ended. Fargate takes awslogs, splunk and awsfirelens, and awslogs "
    "needs group, region and stream prefix.",
)
def logs(case: CheckContext) -> Iterator[Violation]:
    found = case.container.get("logConfiguration")
    if found is None:
        yield warn(
            "The container has no logConfiguration, so nothing that it says is kept.",
            'Add logConfiguration with logDriver "awslogs"; `trail render` prints one.',
            case.inside("logConfiguration", None),
        )
        return
    driver, options = found.get("logDriver"), found.get("options", {})
    if driver not in DRIVERS:
        yield fail(
            f"logConfiguration.logDriver is {shown(driver)}; Fargate takes {', '.join(DRIVERS)}.",
            'Set logDriver to "awslogs".',
            case.inside("logConfiguration.logDriver", driver),
        )
    elif driver == "awslogs" and (lacking := [key for key in AWSLOGS if not str(options.get(key, "")).strip()]):
        yield fail(
            f"logConfiguration lacks {', '.join(lacking)}, which awslogs needs on Fargate.",
            f"Add {', '.join(lacking)} to its options.",
            case.inside("logConfiguration.options", sorted(options)),
        )
