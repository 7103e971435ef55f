import pytest
from django.contrib.auth.models import Group

from monitor.groups import GROUPS

pytestmark = pytest.mark.django_db

RECORDS = ("process", "connection", "event", "action", "gap")
VIEWER = {f"view_{name}" for name in (*RECORDS, "trace", "capturepolicy", "block")}
OPERATOR = VIEWER | {
    *("view_payload", "disconnect_connection", "add_trace", "change_trace"),
    *("add_capturepolicy", "change_capturepolicy", "delete_capturepolicy"),
    *("log_out_user", "send_notice", "add_block", "change_block", "drain_process"),
}


@pytest.mark.parametrize(
    ("group", "rights"), [("Monitor viewers", VIEWER), ("Monitor operators", OPERATOR)]
)
def test_a_group_has_its_rights_and_no_others(group, rights):
    permissions = Group.objects.get(name=group).permissions.all()

    assert {permission.codename for permission in permissions} == rights


def test_there_are_no_other_groups():
    assert set(GROUPS) == {"Monitor viewers", "Monitor operators"}
