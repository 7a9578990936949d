"""The error catalogue: complete rows, no number twice, numbers before names, causes before wrappers."""

from collections import Counter

import pytest

from auditor.rules.catalogue import explain, known_errors

ERRORS = known_errors()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.symbol)
def test_every_row_says_what_it_means_and_what_to_do(error: object) -> None:
    words = (error.meaning, error.next_step, error.source)  # type: ignore[attr-defined]
    assert all(words)
    assert words[1].endswith(".")
    assert all(len(word) <= 130 for word in words)


def test_no_name_and_no_number_stands_twice() -> None:
    assert max(Counter(error.symbol.lower() for error in ERRORS).values()) == 1
    assert max(Counter(number for error in ERRORS for number in error.numbers).values()) == 1


@pytest.mark.parametrize(
    ("number", "symbol"),
    [
        (380016, "UserErrorGuestAgentVersionUnsupported"),
        (380008, "AzureVmOffline"),
        (400196, "UserErrorGuestAgentStatusUnavailable"),
        (400206, "ExtensionSnapshotFailedNoNetwork"),
        (400136, "UserErrorVmNotFoundV2"),
        (400138, "UserErrorSubnetNotFoundV2"),
        (400288, "UserErrorRpCollectionDeleted"),
        (400309, "UserErrorGenericResourceNotFound"),
        (400349, "UserErrorCrpReportedUserError"),
        (400094, "BCMV2VMNotFound"),
        (320001, "ResourceNotFound"),
    ],
)
def test_numbers_that_real_answers_hold(number: int, symbol: str) -> None:
    error = explain(number)
    assert error is not None
    assert error.symbol == symbol


@pytest.mark.parametrize(
    ("code", "texts", "symbol"),
    [
        (400196, ("ExtensionSnapshotFailedNoNetwork",), "UserErrorGuestAgentStatusUnavailable"),
        (None, ("extensionsnapshotfailedcom",), "ExtensionSnapshotFailedCOM"),
        (None, (None, "The job ended (UserErrorFsFreezeFailed)."), "UserErrorFsFreezeFailed"),
        (499999, ("UserErrorFsFreezeTimeout", ""), "UserErrorFsFreezeTimeout"),
        (400349, ("see ExtensionOperationFailed",), "ExtensionOperationFailed"),
        (400349, ("nothing known",), "UserErrorCrpReportedUserError"),
        (None, ("UserErrorCrpReportedUserError: BackUpOperationFailed",), "BackUpOperationFailed"),
        (None, ("UserErrorCrpReportedUserError",), "UserErrorCrpReportedUserError"),
        (None, ("UserErrorFsFreezeFailedTwice",), None),
        (499999, ("UserErrorOfTomorrow",), None),
        (None, (), None),
    ],
)
def test_an_error_is_found_by_number_or_by_a_name_in_its_text(
    code: int | None, texts: tuple[str | None, ...], symbol: str | None
) -> None:
    error = explain(code, *texts)
    assert (error.symbol if error else None) == symbol
