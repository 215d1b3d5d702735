import asyncio
import threading

import pytest

from pipelex.errors import ConfigError, FunctionError, InputError
from pipelex.inference.deck import Deck
from pipelex.inference.functions import call_function, collect_classes, collect_functions, pipe_func
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import FunctionRequest
from pipelex.storage.local import LocalBlobs
from pipelex.values.concepts import Concept, Field
from pipelex.values.contents import StructuredContent
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

MEMORY = Memory(root={"word": Value(concept="native.Text", data={"text": "hello"})})


def ask(name: str) -> FunctionRequest:
    return FunctionRequest(function_name=name, memory=MEMORY, output=Slot("native.Text"), concepts={})


@pipe_func
def upper(*, working_memory):
    return working_memory.get_stuff_as_str("word").upper()


@pipe_func()
async def later(*, working_memory):
    await asyncio.sleep(0)
    return {"text": working_memory.get_stuff_as_str("word")}


@pipe_func(name="tools.thread")
def where(working_memory):
    return threading.current_thread() is threading.main_thread()


@pipe_func
def broken(*, working_memory):
    raise KeyError("lost")


@pipe_func
def picky(*, working_memory):
    raise InputError("this word will not do")


FUNCTIONS = {"upper": upper, "later": later, "tools.thread": where, "broken": broken, "picky": picky}


def test_the_mark_leaves_the_function_as_it_is():
    assert broken.__name__ == "broken"
    with pytest.raises(KeyError):
        broken(working_memory=None)


@pytest.mark.parametrize(("name", "data"), [("upper", "HELLO"), ("later", {"text": "hello"}), ("tools.thread", False)])
async def test_functions_get_the_memory_and_give_json(name, data):
    assert (await call_function(FUNCTIONS, ask(name))).data == data


async def test_the_performer_calls_functions(tmp_path):
    performer = Performer(InferenceSettings(), Deck.load([], {}), LocalBlobs(tmp_path), functions=FUNCTIONS)
    assert (await performer.perform(ask("upper"))).data == "HELLO"


async def test_an_unknown_function_names_the_known_ones():
    with pytest.raises(FunctionError) as caught:
        await call_function(FUNCTIONS, ask("uper"))
    for words in ("'uper'", "broken, later, picky, tools.thread, upper", "did you mean 'upper'", "@pipe_func"):
        assert words in caught.value.render()
    assert not caught.value.is_retryable


async def test_what_a_function_raises_is_named_and_chained():
    with pytest.raises(FunctionError, match=r"'broken' raised KeyError: 'lost'") as caught:
        await call_function(FUNCTIONS, ask("broken"))
    assert isinstance(caught.value.__cause__, KeyError)
    assert "test_inference_functions.py:" in caught.value.render()
    with pytest.raises(InputError, match="will not do"):
        await call_function(FUNCTIONS, ask("picky"))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SOURCE = "from pipelex.inference.functions import pipe_func\n@pipe_func\ndef {name}(*, working_memory):\n    return 1\n"


def test_functions_are_collected_from_folders_files_and_modules(tmp_path):
    write(tmp_path / "a.py", SOURCE.format(name="one"))
    write(tmp_path / "sub" / "b.py", SOURCE.format(name="two"))
    write(tmp_path / ".venv" / "c.py", SOURCE.format(name="three"))
    write(tmp_path / "noise.py", "raise SystemExit('never imported')")
    found = collect_functions([tmp_path, tmp_path / "a.py"])
    assert sorted(found) == ["one", "two"]
    import pipelex.inference.functions as module

    assert collect_functions([module, "pipelex.inference.functions"]) == {}


def test_files_that_cannot_be_collected_say_why(tmp_path):
    write(tmp_path / "x" / "a.py", SOURCE.format(name="same"))
    write(tmp_path / "x" / "b.py", SOURCE.format(name="same"))
    with pytest.raises(ConfigError, match="two functions are named 'same'"):
        collect_functions([tmp_path / "x"])
    broken_file = write(tmp_path / "bad.py", "pipe_func = 1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        collect_functions([broken_file])
    with pytest.raises(ConfigError, match="there is no file to take functions from"):
        collect_functions([tmp_path / "none.py"])
    with pytest.raises(ConfigError, match="ModuleNotFoundError"):
        collect_functions(["no.such.module"])


# Structure classes

CLASS = "from pipelex import StructuredContent\nclass {name}(StructuredContent):\n    it: str\n"


class Tin(StructuredContent):
    name: str

    @property
    def shouted(self):
        return self.name.upper()


def test_classes_are_collected_from_folders_files_modules_and_as_they_are(tmp_path):
    write(tmp_path / "a.py", CLASS.format(name="One"))
    write(tmp_path / "sub" / "b.py", CLASS.format(name="Two"))
    write(tmp_path / "noise.py", "raise SystemExit('never imported')")
    found = collect_classes([tmp_path, tmp_path / "a.py", Tin, int, "pipelex"])
    assert sorted(found) == ["One", "Tin", "Two"]
    assert found["Tin"] is Tin
    assert collect_functions([tmp_path / "a.py"]) == {}


def test_two_classes_of_one_name_are_told(tmp_path):
    write(tmp_path / "a.py", CLASS.format(name="Same"))
    write(tmp_path / "b.py", CLASS.format(name="Same"))
    with pytest.raises(ConfigError, match="two structure classes are named 'Same'"):
        collect_classes([tmp_path])


@pipe_func
def reads(*, working_memory):
    tin = working_memory.get_stuff("tin").content
    return f"{type(tin) is Tin} {getattr(tin, 'shouted', tin.name)}"


@pytest.mark.parametrize(("classes", "said"), [({"Tin": Tin}, "True OOLONG"), ({}, "False oolong")])
async def test_a_function_meets_the_class_where_it_is_known(classes, said):
    tin = Concept(ref="d.Tin", description="t", fields={"name": Field(description="n")}, structure_class="Tin")
    memory = Memory(root={"tin": Value(concept="d.Tin", data={"name": "oolong"})})
    request = FunctionRequest(function_name="reads", memory=memory, output=Slot("native.Text"), concepts={"d.Tin": tin})
    assert (await call_function({"reads": reads}, request, classes)).data == said


@pytest.mark.parametrize(
    ("result", "said"),
    [({1, 2}, "an object of class set has no JSON form"), ([[]] * 2, None), (object(), "has no JSON form")],
)
async def test_what_a_function_returns_must_be_json(result, said):
    request = ask("made")
    if said is None:
        assert (await call_function({"made": lambda working_memory: result}, request)).data == result
        return
    with pytest.raises(FunctionError, match=f"what the function 'made' returned cannot be taken: .*{said}"):
        await call_function({"made": lambda working_memory: result}, request)


async def test_what_a_function_returns_is_not_too_deep():
    deep = 1
    for _ in range(101):
        deep = [deep]
    with pytest.raises(FunctionError, match="nested deeper than 100 levels"):
        await call_function({"made": lambda working_memory: deep}, ask("made"))
