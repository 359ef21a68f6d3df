"""ComfyUI as a process: an error gives the reason why it does not start, and it is gone when we are done with it."""

import pytest

from tools.host import Host, HostError, link_folder


def test_a_host_that_cannot_start_gives_the_reason(environment):
    host = Host(environment, arguments=["--no-such-option"])
    with pytest.raises(HostError, match="unrecognized arguments: --no-such-option"), host:
        pass
    assert not host.base.exists(), "its scratch folder is gone"


def test_a_prompt_with_an_unknown_node_is_refused_with_the_reason(host):
    with pytest.raises(HostError, match="Elsewhere"):
        host.queue({"1": {"class_type": "Elsewhere", "inputs": {}}})


def test_a_linked_folder_is_left_whole_when_the_link_is_made_anew(tmp_path):
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "link"
    for folder in (old, new):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    link_folder(link, old)
    link_folder(link, new)
    assert (link / "name").read_text() == "new"
    assert (old / "name").read_text() == "old"
