import inspect

import pytest

from harmonize import errors


def user_errors() -> list[type[errors.HarmonizeError]]:
    return [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.HarmonizeError)
    ]


def test_every_error_of_the_user_exits_with_2() -> None:
    assert len(user_errors()) == 10
    assert {error.exit_code for error in user_errors()} == {2}


def test_only_settings_have_several_problems() -> None:
    for error in user_errors():
        lines = ["one line", "and another"]
        several = issubclass(error, errors.ConfigError)
        assert error("\n".join(lines)).lines == (lines if several else [" ".join(lines)])


def test_a_wish_to_stop_is_no_error() -> None:
    assert not issubclass(errors.StopRun, errors.HarmonizeError)


def test_the_docstring_draws_the_whole_tree() -> None:
    assert errors.__doc__ is not None
    for error in user_errors():
        assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("error", user_errors())
def test_every_error_is_caught_by_the_root(error: type[errors.HarmonizeError]) -> None:
    with pytest.raises(errors.HarmonizeError, match="what, where"):
        raise error("what, where")
