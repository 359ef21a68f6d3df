"""Save Audio in a real browser: a player for each entry of a batch."""

import pytest

from tests.browser.canvas import MODERN

BUILD = """() => {
    const { app, LiteGraph } = window;
    app.graph.clear();
    const [make, save] = ['TestMakeAudio', 'StereoSyncSaveAudio'].map((kind) => LiteGraph.createNode(kind));
    app.graph.add(make);
    app.graph.add(save);
    save.pos = [400, 100];
    make.widgets.find((widget) => widget.name === 'kind').value = 'batch';
    make.connect(0, save, 0);
}"""
PLAYERS = """async () => {
    const node = window.app.graph._nodes.find((node) => node.type === 'StereoSyncSaveAudio');
    const players = [...document.querySelectorAll('audio')].filter((player) => player.src.includes('StereoSync_'));
    for (let n = 0; n < 100 && players.some((player) => !(player.duration > 0)); n++)
        await new Promise((go) => setTimeout(go, 100));
    return players.map((player) => ({ title: player.title, seconds: player.duration, seen: player.offsetHeight > 0 }));
}"""


@pytest.mark.parametrize("modern", [False, True], ids=["classic", "Nodes 2.0"])
def test_every_entry_of_a_batch_has_a_player(canvas, modern):
    canvas.render(modern)
    try:
        canvas.complaints.clear()
        canvas.page.evaluate(BUILD)
        entry = canvas.run()
        assert entry["status"]["status_str"] == "success"
        canvas.page.wait_for_timeout(1000)
        players = canvas.page.evaluate(PLAYERS)
        assert [player["seconds"] for player in players] == [pytest.approx(1.0)] * 3
        assert all("true peak" in player["title"] and player["seen"] for player in players)
        assert not canvas.complaints
    finally:
        canvas.render(MODERN)
