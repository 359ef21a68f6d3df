"""Continuous times for streams whose clock may jump: recordings joined end to end, broadcasts, discs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream

#: libav's mark (AVFMT_TS_DISCONT) of formats whose clock may jump: MPEG-TS, MPEG-PS, Ogg.
_CLOCK_MAY_JUMP = 0x0200
#: Seconds by which a time may lie before the expected one and after it; what is beyond is a jump. ffmpeg's own bounds.
_BACK, _ON = Fraction(1, 10), Fraction(10)
#: Seconds after which the clock of MPEG begins anew: 33 bits at 90 kHz.
_ROUND = Fraction(2**33, 90000)
#: Seconds that a packet lasts whose length is not known, for what comes next.
_USUAL = Fraction(1, 25)


def continuous(container: InputContainer, leader: Stream, streams: Sequence[Stream]) -> Iterator[av.Packet]:
    """The packets of ``streams``, as :meth:`demux` gives them, their times without jumps of the file's clock.

    Where the clock of ``leader`` restarts or jumps, its next packet follows the one before, and all other streams are moved by
    as much, so that what belongs together stays together.
    """
    if not container.format.flags & _CLOCK_MAY_JUMP:
        for packet in container.demux(streams):
            if container.format.name == "avi":
                packet.pts = packet.dts  # a place and no presentation time, for which libav makes some up that begin late
            yield packet
        return
    clock, wanted = _Clock(leader.index), {stream.index for stream in streams}
    for packet in container.demux([leader, *(stream for stream in streams if stream.index != leader.index)]):
        yield from (one for one in clock.placed(packet) if one.stream_index in wanted)


class _Clock:
    """The file's clock: its parts between jumps of the leader, and the seconds that each is moved by."""

    def __init__(self, leader: int):
        self.leader = leader
        self.shifts = [Fraction(0)]
        self.expected: dict[int, Fraction] = {}  # seconds in the file at which each stream goes on
        self.part: dict[int, int] = {}  # that each stream is in
        self.waiting: list[av.Packet] = []  # of other streams, behind a jump that the leader has not made yet
        self.since = Fraction(0)  # the leader's seconds from which they wait

    def placed(self, packet: av.Packet) -> Iterator[av.Packet]:
        """The packets whose times are known now, moved."""
        stream = packet.stream_index
        if not packet.size:  # the end
            yield from self._released()
        elif stream != self.leader:
            self._unwrap(packet)
            if self._waits(packet):
                self.waiting.append(packet)
                return
        elif self._jumps(packet):
            self.shifts.append(self.shifts[-1] + self.expected[stream] - _seconds(packet))
            self.part[stream] = len(self.shifts) - 1
            yield from self._released()
        elif self.expected.get(stream, self.since) > self.since + _ON:
            yield from self._released()  # the leader makes no such jump
        yield self._moved(packet)

    def _unwrap(self, packet: av.Packet) -> None:
        """Sound that begins a moment before the clock's zero has its largest times there."""
        place = self.expected.get(self.leader)
        if place is not None and packet.dts is not None and _seconds(packet) - place > _ROUND / 2:
            _move(packet, -_ROUND)

    def _jumps(self, packet: av.Packet) -> bool:
        expected = self.expected.get(packet.stream_index)
        return expected is not None and packet.dts is not None and not -_BACK <= _seconds(packet) - expected <= _ON

    def _waits(self, packet: av.Packet) -> bool:
        stream, now = packet.stream_index, self.part.get(self.leader, 0)
        if any(one.stream_index == stream for one in self.waiting):
            return True
        if not self._jumps(packet) or self.part[stream] < now:
            return False
        place = self.expected.get(self.leader, self.since)
        if self.expected[stream] < _seconds(packet) < place + _ON:  # a gap, for the leader is there as well
            return False
        self.since = place if not self.waiting else self.since
        return True

    def _released(self) -> Iterator[av.Packet]:
        waiting, self.waiting = self.waiting, []
        yield from map(self._moved, waiting)

    def _moved(self, packet: av.Packet) -> av.Packet:
        stream, now = packet.stream_index, self.part.get(self.leader, 0)
        if packet.size and packet.dts is not None:
            if self._jumps(packet):
                self.part[stream] = now
            self.expected[stream] = _seconds(packet) + ((packet.duration or 0) * packet.time_base or _USUAL)
        return _move(packet, self.shifts[self.part.setdefault(stream, now)])


def _move(packet: av.Packet, seconds: Fraction) -> av.Packet:
    ticks = round(seconds / packet.time_base)
    packet.dts = None if packet.dts is None else packet.dts + ticks
    packet.pts = None if packet.pts is None else packet.pts + ticks
    return packet


def _seconds(packet: av.Packet) -> Fraction:
    return packet.dts * packet.time_base
