import type { Finding } from '../finding.ts'
import type { BridgeObservation, HostObservation } from '../observation.ts'

export function checkNetwork({ network, uplinks }: HostObservation): Finding[] {
  const ownBridges = new Set(uplinks.map(({ bridge }) => bridge))
  const { bridgeNetfilter, droppingChains, bridges, forwarding, reversePathFilter, management } = network
  const usedAsUplink = management.filter((name) => uplinks.some((uplink) => uplink.name === name))
  return [
    {
      area: 'network',
      subject: 'way in',
      level: management.length === 0 ? 'skip' : usedAsUplink.length > 0 ? 'fail' : 'pass',
      message:
        management.length === 0
          ? 'no default route and no SSH session: nothing to protect'
          : usedAsUplink.length > 0
            ? `${usedAsUplink.join(', ')} is an uplink of the testbed and carries the way in to this host`
            : `${management.join(', ')}: no uplink of the testbed`,
      ...(usedAsUplink.length > 0 ? { hint: 'Use another NIC as the uplink: vmr will not touch this one.' } : {}),
    },
    packetFilter(bridgeNetfilter, droppingChains),
    ...bridges.flatMap((bridge) => checkBridge(bridge, ownBridges.has(bridge.name))),
    {
      area: 'network',
      subject: 'forwarding',
      level: 'pass',
      message: `IPv4 ${onOff(forwarding.ipv4)}, IPv6 ${onOff(forwarding.ipv6)} (needed only with the host as the DUT, and switched on for as long)`,
    },
    reversePathFilter === 1
      ? {
          area: 'network',
          subject: 'rp_filter',
          level: 'warn',
          message: 'is strict: with the host as the DUT, packets of another way back are dropped',
          hint: 'sysctl net.ipv4.conf.all.rp_filter=2',
        }
      : { area: 'network', subject: 'rp_filter', level: 'pass', message: reversePathFilter === 2 ? 'loose' : 'off' },
  ]
}

const onOff = (value: boolean | undefined): string => (value === undefined ? 'unknown' : value ? 'on' : 'off')

/** A bridged frame meets the forward chains only through br_netfilter: one without the other is harmless. */
function packetFilter(
  bridgeNetfilter: { readonly ipv4: boolean; readonly ipv6: boolean } | undefined,
  droppingChains: HostObservation['network']['droppingChains'],
): Finding {
  const subject = 'packet filter on bridges'
  const active = [...(bridgeNetfilter?.ipv4 ? ['IPv4'] : []), ...(bridgeNetfilter?.ipv6 ? ['IPv6'] : [])]
  if (active.length === 0) return { area: 'network', subject, level: 'pass', message: 'br_netfilter is not in the way' }
  if (droppingChains === undefined)
    return { area: 'network', subject, level: 'skip', message: 'the rules could not be read (needs root and nft)' }
  if (droppingChains.length === 0)
    return {
      area: 'network',
      subject,
      level: 'pass',
      message: `br_netfilter sends bridged ${active.join(' and ')} through the forward chains, and none drops by default`,
    }
  const names = droppingChains.map(({ family, table, chain }) => `${family} ${table} ${chain}`).join(', ')
  const isDocker = droppingChains.some(({ table, chain }) => table === 'filter' && chain === 'FORWARD')
  return {
    area: 'network',
    subject,
    level: 'fail',
    message: `br_netfilter sends bridged ${active.join(' and ')} through ${names}, which drops what nobody accepts`,
    hint: `sysctl net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0, or accept the bridge there.${
      isDocker ? ' Docker sets this policy; the sysctl opens its bridges to each other.' : ''
    }`,
  }
}

function checkBridge({ name, stp, snooping, querier, ports }: BridgeObservation, isOwn: boolean): Finding[] {
  const subject = `bridge ${name}`
  const own = (words: string, ...commands: (readonly string[])[]) => (isOwn ? { fix: { words, commands } } : {})
  const complaints: Finding[] = [
    ...(snooping
      ? [
          {
            area: 'network' as const,
            subject,
            level: 'warn' as const,
            message: querier
              ? 'snoops on multicast and is the querier: a guest that pauses longer than the membership interval (260 s) loses IPv6'
              : 'snoops on multicast: once a querier appears, a guest that pauses, or speaks tagged, loses IPv6',
            hint: `ip link set dev ${name} type bridge mcast_snooping 0`,
            ...own(`switch multicast snooping off on ${name}`, [
              ...['ip', 'link', 'set', 'dev', name, 'type', 'bridge', 'mcast_snooping', '0'],
            ]),
          },
        ]
      : []),
    ...(stp
      ? [
          {
            area: 'network' as const,
            subject,
            level: 'warn' as const,
            message: 'runs STP: a VM that starts is silent for up to 30 s',
            hint: `ip link set dev ${name} type bridge stp_state 0, if there is no loop`,
            ...own(`switch STP off on ${name}`, ['ip', 'link', 'set', 'dev', name, 'type', 'bridge', 'stp_state', '0']),
          },
        ]
      : []),
  ]
  if (complaints.length > 0) return complaints
  return [
    {
      area: 'network',
      subject,
      level: 'pass',
      message: `no snooping, no STP; holds ${ports.length === 0 ? 'nothing' : ports.join(', ')}`,
    },
  ]
}
