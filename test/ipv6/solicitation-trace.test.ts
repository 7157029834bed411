import assert from 'node:assert/strict'
import fc from 'fast-check'
import { captureArgv, countSolicitations, evaluateHops, solicitationFilter } from '../../src/ipv6/solicitation-trace.ts'

const line = (...counts: number[]) =>
  evaluateHops(
    ['pc1 eth0', 'host uplink vmr-up1', 'macvtap5', 'r1 eth0'].map((hop, index) => ({
      hop,
      count: counts[index] ?? 0,
    })),
  )

describe('the trace of a solicitation', () => {
  it('names the last hop that saw it and the first that did not', () => {
    assert.deepEqual(line(4, 4, 0, 0), {
      lastSeen: 'host uplink vmr-up1',
      firstMissing: 'macvtap5',
      line: 'last seen at host uplink vmr-up1, not at macvtap5',
    })
  })

  it('says when it was not sent at all, and when only the answer is lost', () => {
    assert.equal(line(0, 0, 0, 0).line, 'not sent: not even seen at pc1 eth0')
    assert.equal(line(4, 4, 3, 3).line, 'arrives at r1 eth0: what is lost is the answer')
    assert.equal(evaluateHops([]).line, 'no hop was watched')
  })

  it('believes a later hop more than a capture that missed a frame', () => {
    assert.equal(line(4, 0, 4, 0).line, 'last seen at macvtap5, not at r1 eth0')
  })

  it('counts the requests for its own target only, tagged or not', () => {
    const text = `listening on eth0, link-type EN10MB (Ethernet), snapshot length 128 bytes
IP6 fe80::76:6dff:fe72:5001 > ff02::1:ff00:1: ICMP6, neighbor solicitation, who has 2001:db8:dead:beaf::1, length 32
IP6 2001:db8:dead:beaf::2 > ff02::1:ff00:1: ICMP6, neighbor solicitation, who has 2001:db8:dead:beaf::1, length 32
IP6 2001:db8:dead:beaf::2 > ff02::1:ff00:3: ICMP6, neighbor solicitation, who has 2001:db8:dead:beaf::3, length 32
ARP, Request who-has 192.168.1.1 tell 192.168.1.2, length 28
vlan 100, p 0, ethertype ARP, Request who-has 192.168.1.1 tell 192.168.1.2, length 28
4 packets captured
`
    assert.equal(countSolicitations(text, '2001:db8:dead:beaf:0::1'), 2)
    assert.equal(countSolicitations(text, '192.168.1.1'), 2)
  })

  it('captures without promiscuous mode, a bounded number of frames', () => {
    const argv = captureArgv('macvtap5', solicitationFilter('ipv4', '192.168.1.1'), ['sudo', '-n'])
    assert.ok(argv.includes('-p') && argv.includes('-c'))
    assert.deepEqual(argv.slice(3, 7), ['sh', 'sudo', '-n', 'tcpdump'])
  })

  it('filters for the target byte by byte', () => {
    assert.match(solicitationFilter('ipv4', '192.168.1.1'), /arp\[24:4\] == 0xc0a80101/)
    assert.match(
      solicitationFilter('ipv6', '2001:db8:dead:beaf::1'),
      /ip6\[48:4\] == 0x20010db8 and ip6\[52:4\] == 0xdeadbeaf and ip6\[56:4\] == 0x00000000 and ip6\[60:4\] == 0x00000001/,
    )
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        assert.equal(solicitationFilter('ipv6', address).match(/ip6\[\d+:4\] == 0x[0-9a-f]{8}(?![0-9a-f])/g)?.length, 8)
      }),
    )
  })

  it('counts whatever tcpdump prints without a crash', () => {
    fc.assert(fc.property(fc.string(), (text) => assert.ok(countSolicitations(text, '::1') >= 0)))
  })
})
