import assert from 'node:assert/strict'
import { parseMachineState } from '../../src/ipv6/evidence/machine-state.ts'
import { lookUpRoute, lookUpRoutes } from '../../src/ipv6/evidence/topology.ts'

const mark = '=-=vmr-section=-='
const lo = JSON.stringify([{ ifindex: 1, ifname: 'lo', mtu: 65536 }])

/** A machine as it tells its routes, in the words of `ip -json -details -6 route show table all`. */
const machine = (routes: readonly Readonly<Record<string, unknown>>[], ra = '') =>
  parseMachineState(
    `${mark} address\n${lo}\n${mark} route6\n${JSON.stringify(routes.map((route) => ({ type: 'unicast', dev: 'eth0', ...route })))}\n${mark} ra\n${ra}`,
    'pc1',
  )
const gateway = (...routes: readonly Readonly<Record<string, unknown>>[]) =>
  lookUpRoute(machine(routes), 'ipv6', '2001:db8:2::2')?.gateway

describe('the route that a machine takes', () => {
  const byVm = { dst: 'default', gateway: '2001:db8:1::1', metric: 1024, pref: 'medium' }
  const rogue = { dst: 'default', gateway: 'fe80::bad', metric: 1024, protocol: 'ra', pref: 'high' }

  it('is the one of the longest prefix, then of the lowest metric, then of the preferred router', () => {
    assert.equal(gateway(byVm, rogue), 'fe80::bad')
    assert.equal(gateway({ ...byVm, metric: 100 }, rogue), '2001:db8:1::1')
    assert.equal(gateway({ ...byVm, metric: 2048, dst: '2001:db8:2::/64' }, rogue), '2001:db8:1::1')
    assert.equal(gateway(byVm, { ...rogue, pref: 'low' }), '2001:db8:1::1')
  })

  it('is one or the other where two are as good', () => {
    const routes = lookUpRoutes(machine([byVm, { ...rogue, pref: 'medium' }]), 'ipv6', '2001:db8:2::2')
    assert.deepEqual(routes.map((route) => route.gateway).sort(), ['2001:db8:1::1', 'fe80::bad'])
  })

  it('counts what each interface has sent and seen of router messages', () => {
    const { routerMessages } = machine(
      [],
      'eth0:Icmp6InType134\t3\neth0:Icmp6OutType133                 \t1\neth1:Icmp6OutType134\t7\n',
    )
    const none = { solicitationsSent: 0, solicitationsSeen: 0, advertisementsSent: 0, advertisementsSeen: 0 }
    assert.deepEqual(routerMessages, {
      eth0: { ...none, solicitationsSent: 1, advertisementsSeen: 3 },
      eth1: { ...none, advertisementsSent: 7 },
    })
  })
})
