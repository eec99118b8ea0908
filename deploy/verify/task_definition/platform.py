"""Does the task definition fit Fargate and the image's needs: network mode, sizes, processor, logs."""

from collections.abc import Iterator

from deploy.findings.finding import CheckSkipped
from deploy.taskdef.size import read as read_size
from deploy.text import shown, words
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

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
CPU_UNITS = 1024  # of one CPU
STORAGE_GIB = (21, 200)  # of ephemeralStorage; a task has 20 GiB without it
LINUX = "LINUX"
WINDOWS_UNITS = 1024  # of CPU that a Windows task has at least on Fargate
SMALLEST_MIB = 6  # of a container's memory; Docker starts none with less
REFUSED = ("links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts", "dockerSecurityOptions")
DOMAINLESS = "credentialspecdomainless:"  # the only gMSA credentials that Fargate takes
REFUSED_LINUX = ("devices", "sharedMemorySize", "maxSwap", "swappiness")


def size(context: CheckContext, key: str) -> int | None:
    """CPU units or MiB of the task, which may also be written as "1 vCPU" and "2 GB"; None where it is missing.

    Raises:
        CheckSkipped: the value cannot be read.
    """
    text = context.task.get(key)
    if text is None:
        return None
    if (number := read_size(text, key)) is None:
        raise CheckSkipped(f"not checked, since {key} is {shown(text)}")
    return number


@check("NETWORK_MODE", needs="fargate")
def network_mode(context: CheckContext) -> Iterator[Violation]:
    mode = context.task.get("networkMode")
    if mode != "awsvpc":
        value = "missing, which means bridge" if mode is None else shown(mode)
        repair = 'Set networkMode to "awsvpc".'
        yield fail(
            f'networkMode is {value}; Fargate accepts only "awsvpc".', repair, context.in_task("networkMode", mode)
        )


@check("LAUNCH_TYPE", needs="contract")
def launch_type(context: CheckContext) -> Iterator[Violation]:
    types = context.task.get("requiresCompatibilities", [])
    if "FARGATE" not in types:
        yield fail(
            f"requiresCompatibilities is {words(types)}, but the service runs on FARGATE.",
            'Set requiresCompatibilities to ["FARGATE"].',
            context.in_task("requiresCompatibilities", types),
        )


@check("FARGATE_SIZE", needs="fargate")
def fargate_size(context: CheckContext) -> Iterator[Violation]:
    violations = []
    for key, example in (("cpu", '"1024"'), ("memory", '"2048"')):
        try:
            if size(context, key) is None:
                violations.append(
                    fail(f"{key} of the task is missing.", f"Set {key}, e.g. {example}.", context.in_task(key, None))
                )
        except CheckSkipped:
            text = context.task.get(key)
            sentence = f"{key} of the task is {shown(text)}, which is not a size; a size looks like {example}."
            violations.append(fail(sentence, f"Set {key}, e.g. {example}.", context.in_task(key, text)))
    yield from violations
    if violations:
        return
    cpu, memory = size(context, "cpu") or 0, size(context, "memory") or 0
    if cpu not in SIZES:
        yield fail(
            f"cpu of the task is {cpu} units; Fargate offers {', '.join(map(str, SIZES))}.",
            f"Set cpu to {min(SIZES, key=lambda units: abs(units - cpu))}.",
            context.in_task("cpu", cpu),
        )
    elif cpu < WINDOWS_UNITS and context.windows:
        yield fail(
            f"cpu of the task is {cpu} units; a Windows task on Fargate has {WINDOWS_UNITS} at least.",
            f"Set cpu to {WINDOWS_UNITS}, with a memory that goes with it.",
            context.in_task("cpu", cpu),
            context.in_task("runtimePlatform.operatingSystemFamily", "Windows"),
        )
    elif memory not in SIZES[cpu]:
        offered = SIZES[cpu]
        nearest = next((mib for mib in offered if mib >= memory), offered[-1])
        yield fail(
            f"memory of the task is {memory} MiB; with {cpu} CPU units Fargate offers {offered[0]} to {offered[-1]} "
            f"MiB in steps; the nearest is {nearest}.",
            f"Set memory to {nearest}, or change cpu.",
            context.in_task("memory", memory),
            context.in_task("cpu", cpu),
        )


@check("MEMORY_BELOW_MINIMUM", needs="contract")
def memory(context: CheckContext) -> Iterator[Violation]:
    least = context.contract.minimum.memory_mib
    limits = [("memory", size(context, "memory")), (f"{context.path}.memory", context.container.get("memory"))]
    for path, limit in limits:
        if limit is not None and limit < least:
            yield fail(
                f"{path} is {limit} MiB, but the image needs {least} MiB, measured under load.",
                f"Set {path} to {least} or more; Fargate's next size is "
                f"{next((mib for mib in SIZES[1024] if mib >= least), least)}.",
                context.in_task(path, limit),
                context.in_contract("minimum.memory_mib", least),
            )
            return


@check("CPU_BELOW_MINIMUM", needs="contract")
def cpu(context: CheckContext) -> Iterator[Violation]:
    units, least = size(context, "cpu"), context.contract.minimum.cpus
    if units is not None and units in SIZES and units < least * CPU_UNITS:
        yield fail(
            f"cpu of the task is {units} units, but the image needs {round(least * CPU_UNITS)} units ({least} CPUs).",
            f"Set cpu to {next((size for size in SIZES if size >= least * CPU_UNITS), max(SIZES))}.",
            context.in_task("cpu", units),
            context.in_contract("minimum.cpus", least),
        )


@check("CONTAINER_SHARE")
def share(context: CheckContext) -> Iterator[Violation]:
    reservations = {
        "cpu": [container.get("cpu") or 0 for container in context.containers],
        "memory": [
            container.get("memoryReservation") or container.get("memory") or 0 for container in context.containers
        ],
    }
    for key, reserved in reservations.items():
        total = size(context, key)
        if total is not None and sum(reserved) > total:
            yield fail(
                f"The containers together reserve {key} {sum(reserved)}, but the task has {total}.",
                f"Raise the task's {key}, or lower the containers'.",
                context.in_task(f"containerDefinitions[].{key}", sum(reserved)),
                context.in_task(key, total),
            )
    yield from _limits(context)


def _limits(context: CheckContext) -> Iterator[Violation]:
    """Limits of memory: of a container beside the task's and its own reservation, and of all together."""
    total = size(context, "memory")
    limits = [container.part.get("memory") or 0 for container in context.each]
    for container, limit in zip(context.each, limits, strict=True):
        reserved = container.part.get("memoryReservation")
        if reserved is not None and limit and reserved > limit:
            yield fail(
                container.says(f"it reserves {reserved} MiB, but is limited to {limit} MiB."),
                "Remove memoryReservation; the task's memory is enough.",
                container.place("memoryReservation", reserved),
                container.place("memory", limit),
            )
        if total is not None and reserved and limit > total:
            yield fail(
                container.says(f"its limit is {limit} MiB of memory, but the task has {total} MiB."),
                "Lower the container's memory, or raise the task's.",
                container.place("memory", limit),
                context.in_task("memory", total),
            )
    if (
        total is not None
        and sum(limits) > total >= max(limits)
        and any(container.get("memoryReservation") for container in context.containers)
    ):
        yield warn(
            f"The limits of the containers are {sum(limits)} MiB of memory together, but the task has {total} MiB: one "
            "of them may be killed below its own limit.",
            "Lower the limits, or raise the task's memory.",
            context.in_task("containerDefinitions[].memory", sum(limits)),
            context.in_task("memory", total),
        )


@check("CONTAINER_MEMORY")
@each_container
def container_memory(context: CheckContext, container: Container) -> Iterator[Violation]:
    limit, reserved = container.part.get("memory"), container.part.get("memoryReservation")
    if not limit and not reserved and context.task.get("memory") is None and not context.fargate:
        yield fail(
            container.says("it has neither memory nor memoryReservation, and the task no memory: ECS refuses it."),
            "Set memoryReservation to the MiB that it usually needs, and memory to what it may take at most.",
            container.place("memory", None),
        )
    for key, value in (("memory", limit), ("memoryReservation", reserved)):
        if value and value < SMALLEST_MIB:
            yield fail(
                container.says(f"{key} is {value} MiB; a container needs {SMALLEST_MIB} MiB at least."),
                f"Set {key} in MiB, or remove it.",
                container.place(key, value),
            )


@check("ARCHITECTURE", needs="contract")
def architecture(context: CheckContext) -> Iterator[Violation]:
    stated = context.task.get("runtimePlatform", {}).get("cpuArchitecture")
    needed = context.contract.ecs_architecture
    if (stated or "X86_64") != needed:
        value = "missing, which means X86_64" if stated is None else shown(stated)
        yield fail(
            f"runtimePlatform.cpuArchitecture is {value}, but the image is built for {context.contract.architecture} "
            f"({needed}).",
            f'Set runtimePlatform.cpuArchitecture to "{needed}", or build the image for the other processor.',
            context.in_task("runtimePlatform.cpuArchitecture", stated),
            context.in_contract("architecture", context.contract.architecture),
        )


@check("OPERATING_SYSTEM", needs="contract")
def system(context: CheckContext) -> Iterator[Violation]:
    stated = context.task.get("runtimePlatform", {}).get("operatingSystemFamily", LINUX)
    if stated != LINUX:
        yield fail(
            f"runtimePlatform.operatingSystemFamily is {shown(stated)}, but the image is built for LINUX.",
            'Set runtimePlatform.operatingSystemFamily to "LINUX".',
            context.in_task("runtimePlatform.operatingSystemFamily", stated),
        )


@check("ESSENTIAL")
def essential(context: CheckContext) -> Iterator[Violation]:
    if all(container.get("essential", True) is False for container in context.containers):
        yield fail(
            "essential is false for every container; ECS refuses such a task.",
            "Set essential to true for the container that the task is for.",
            context.in_task("containerDefinitions[].essential", False),
        )
    elif context.ours and context.container.get("essential", True) is not True:
        yield fail(
            "essential is false for the serving container: the task would go on after the container ends.",
            "Set essential to true.",
            context.in_container("essential", False),
        )


@check("FARGATE_REFUSES", needs="fargate")
def refused(context: CheckContext) -> Iterator[Violation]:
    refused_values = []
    for index, container in enumerate(context.containers):
        path = f"containerDefinitions[{index}]"
        refused_values += [(f"{path}.{key}", container[key]) for key in REFUSED if container.get(key)]
        refused_values += [(f"{path}.{key}", True) for key in ("privileged", "disableNetworking") if container.get(key)]
        linux = container.get("linuxParameters", {})
        refused_values += [
            (f"{path}.linuxParameters.{key}", linux[key]) for key in REFUSED_LINUX if linux.get(key) is not None
        ]
        added = [name for name in linux.get("capabilities", {}).get("add", []) if name != "SYS_PTRACE"]
        refused_values += [(f"{path}.linuxParameters.capabilities.add", added)] if added else []
        if foreign := [spec for spec in container.get("credentialSpecs", []) if not spec.startswith(DOMAINLESS)]:
            refused_values.append((f"{path}.credentialSpecs", foreign))
        if container.get("resourceRequirements"):
            refused_values.append((f"{path}.resourceRequirements", "GPU or accelerator"))
    task = context.task
    refused_values += [
        (key, task[key]) for key in ("placementConstraints", "inferenceAccelerators", "ipcMode") if task.get(key)
    ]
    refused_values += [("pidMode", "host")] if task.get("pidMode") == "host" else []
    for index, volume in enumerate(task.get("volumes", [])):
        if (path := volume.get("host", {}).get("sourcePath")) is not None:
            refused_values.append((f"volumes[{index}].host.sourcePath", path))
        if volume.get("dockerVolumeConfiguration"):
            refused_values.append((f"volumes[{index}].dockerVolumeConfiguration", "a Docker volume"))
    for path, value in refused_values:
        yield fail(f"{path} is {shown(value)}, which Fargate refuses.", f"Remove {path}.", context.in_task(path, value))


@check("EPHEMERAL_STORAGE", needs="fargate")
def storage(context: CheckContext) -> Iterator[Violation]:
    gib = context.task.get("ephemeralStorage", {}).get("sizeInGiB", STORAGE_GIB[0])
    if not STORAGE_GIB[0] <= gib <= STORAGE_GIB[1]:
        yield fail(
            f"ephemeralStorage.sizeInGiB is {gib}; Fargate accepts {STORAGE_GIB[0]} to {STORAGE_GIB[1]}.",
            "Remove ephemeralStorage: a task has 20 GiB without it.",
            context.in_task("ephemeralStorage.sizeInGiB", gib),
        )
