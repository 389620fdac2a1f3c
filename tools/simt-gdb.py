"""Kernel threads of the host SIMT executor, in gdb (x86-64).

usage in gdb: source tools/simt-gdb.py

  simt threads        what each thread of the block does, and where it waits
  simt thread N       go to thread N of the block: backtrace, up, print, info locals speak of it
  simt thread X,Y,Z   the same by its threadIdx
  simt back           return to the thread that runs; commands that resume the program do so themselves

The executor runs the threads of a block by turns, each on a stack of its own. One that waits has its registers on its
stack, where kernels/common/simt/fiber.hpp puts them; `simt thread` shows gdb these instead of the processor's.
"""

import gdb

MACHINE = "'kfer::simt::detail::Machine::get()::machine'"
INDEX = "'kfer::simt::words::threadIdx'"
# What switch_stack() leaves above the stack pointer that it saves; the first word holds floating-point control.
SAVED = ("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")


def value(expression):
    return gdb.parse_and_eval(expression)


def triple(v):
    return tuple(int(v[axis]) for axis in "xyz")


def text(v):
    return "(%d,%d,%d)" % triple(v)


class Machine:
    """The executor as the stopped program has it."""

    def __init__(self):
        try:
            self.machine = value(MACHINE)
        except gdb.error:
            raise gdb.GdbError("no host SIMT executor in this program, or no debug information of it")
        self.current = self.machine["current_"]
        if not self.current:
            raise gdb.GdbError("no kernel is running")

    def __len__(self):
        return int(self.machine["block_threads_"])

    def thread(self, number):
        return self.machine["threads_"][number]

    def number(self, words):
        """The thread that the words of a command name."""
        try:
            index = [int(part) for part in words.split(",")]
        except ValueError:
            raise gdb.GdbError("expected a thread's number or its threadIdx as X,Y,Z, got: " + words)
        if len(index) > 1:
            block = triple(value("'kfer::simt::words::blockDim'"))
            index += [0] * (3 - len(index))
            if any(i < 0 or i >= n for i, n in zip(index, block)):
                raise gdb.GdbError("the block has %d x %d x %d threads" % block)
            return (index[2] * block[1] + index[1]) * block[0] + index[0]
        if not 0 <= index[0] < len(self):
            raise gdb.GdbError("the block has threads 0 to %d" % (len(self) - 1))
        return index[0]

    def runs(self, thread):
        return thread.address == self.current

    def state(self, thread):
        """running, not started, exited, or: waiting or ready, and where."""
        name = str(thread["state"]).rsplit("::", 1)[-1]
        if self.runs(thread):
            return "running"
        if name == "fresh":
            return "not started"
        if name == "done":
            return "exited"
        site = thread["site"]
        place = "%s at %s:%d" % (self.operation(thread), site["file"].string().rsplit("/", 1)[-1], int(site["line"]))
        return ("waiting in " if name == "waiting" else "ready after ") + place

    @staticmethod
    def operation(thread):
        """__syncthreads and the like: what report.hpp calls it, from the enumerator's name."""
        op = str(thread["op"]).rsplit("::", 1)[-1]
        special = {"barrier": "__syncthreads", "syncwarp": "__syncwarp", "vote": "__ballot/any/all_sync",
                   "nanosleep": "__nanosleep"}
        if op in special:
            return special[op]
        if op.startswith("barrier_"):
            return "__syncthreads_" + op[len("barrier_"):]
        return "__" + op.replace("shuffle", "shfl") + "_sync"


def ranges(numbers):
    """[0, 1, 2, 5] as 0-2 5."""
    runs = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return " ".join(str(a) if a == b else "%d-%d" % (a, b) for a, b in runs)


class Visit:
    """Registers and threadIdx of the thread that runs, while gdb is shown those of another."""

    registers = None
    index = None

    @classmethod
    def go(cls, machine, thread):
        cls.back()
        if machine.runs(thread):
            return
        word = gdb.lookup_type("unsigned long")
        stack = int(thread["fiber"].dereference()["stopped_at_"].cast(word))
        memory = gdb.selected_inferior().read_memory(stack, 8 * (len(SAVED) + 1)).tobytes()
        saved = [int.from_bytes(memory[i:i + 8], "little") for i in range(8, len(memory), 8)]
        gdb.newest_frame().select()
        cls.registers = {name: int(value("$" + name).cast(word)) for name in SAVED + ("rsp",)}
        cls.index = triple(value(INDEX))
        cls.write(dict(zip(SAVED, saved), rsp=stack + len(memory)), triple(thread["index"]))

    @classmethod
    def back(cls):
        if cls.registers is None:
            return False
        gdb.newest_frame().select()
        cls.write(cls.registers, cls.index)
        cls.registers = None
        return True

    @staticmethod
    def write(registers, index):
        for name, content in registers.items():
            gdb.execute("set $%s = %d" % (name, content), to_string=True)
        for axis, i in zip("xyz", index):
            gdb.execute("set var %s.%s = %d" % (INDEX, axis, i), to_string=True)
        gdb.newest_frame().select()


class Simt(gdb.Command):
    """Kernel threads of the host SIMT executor: simt threads, simt thread N, simt back."""

    def __init__(self):
        super().__init__("simt", gdb.COMMAND_STACK, prefix=True)


class Threads(gdb.Command):
    """What each thread of the block does, and where it waits."""

    def __init__(self):
        super().__init__("simt threads", gdb.COMMAND_STACK)

    def invoke(self, words, from_tty):
        machine = Machine()
        states = {}
        for number in range(len(machine)):
            states.setdefault(machine.state(machine.thread(number)), []).append(number)
        print("block %s of grid %s, threads of %s" % tuple(
            text(value("'kfer::simt::words::%s'" % name)) for name in ("blockIdx", "gridDim", "blockDim")))
        for state, numbers in states.items():
            print("  %4d %s: %s" % (len(numbers), state, ranges(numbers)))


class Thread(gdb.Command):
    """Go to a thread of the block, by number or by threadIdx as X,Y,Z."""

    def __init__(self):
        super().__init__("simt thread", gdb.COMMAND_STACK)

    def invoke(self, words, from_tty):
        machine = Machine()
        number = machine.number(words)
        thread = machine.thread(number)
        state = machine.state(thread)
        if state in ("not started", "exited"):
            raise gdb.GdbError("thread %d has no stack: %s" % (number, state))
        title = "thread %d, threadIdx %s, %s" % (number, text(thread["index"]), state)
        Visit.go(machine, thread)
        print(title)
        # The frames of the executor say nothing about the kernel: the first one below them is selected.
        frame = gdb.newest_frame()
        while frame and (frame.name() or "").startswith("kfer::simt::"):
            frame = frame.older()
        (frame or gdb.newest_frame()).select()
        gdb.execute("frame")


class Back(gdb.Command):
    """Return to the thread that runs."""

    def __init__(self):
        super().__init__("simt back", gdb.COMMAND_STACK)

    def invoke(self, words, from_tty):
        if Visit.back() and from_tty:
            gdb.execute("frame")


Simt()
Threads()
Thread()
Back()
# The program must not go on with another thread's registers.
for command in ("continue", "step", "next", "stepi", "nexti", "finish", "until", "advance", "jump", "return", "call",
                "detach", "reverse-continue", "generate-core-file"):
    gdb.execute("define hook-%s\nsimt back\nend" % command)
gdb.events.exited.connect(lambda event: setattr(Visit, "registers", None))
