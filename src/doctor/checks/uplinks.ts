import type { Finding } from '../finding.ts'
import type { HostObservation, UplinkObservation } from '../observation.ts'

export function checkUplinks({ uplinks, libvirt }: HostObservation): Finding[] {
  const inUse = libvirt.kind === 'answers' ? new Set(libvirt.devicesInUse) : undefined
  return uplinks.flatMap((uplink) => checkUplink(uplink, inUse))
}

/** @param inUse devices of running domains; undefined where nobody knows. */
function checkUplink(
  { name, link, madeOnDemand, testbed }: UplinkObservation,
  inUse: ReadonlySet<string> | undefined,
): Finding[] {
  const common = { area: 'uplinks', subject: name } as const
  if (link === undefined)
    return [
      madeOnDemand
        ? { ...common, level: 'skip', message: `the testbed ${testbed} is not up; vmr makes it when it is needed` }
        : {
            ...common,
            level: 'fail',
            message: `this host has no such NIC, and the testbed ${testbed} wants it`,
            hint: 'See `ip -br link`, and mend the testbed’s file.',
          },
    ]
  const leftOver = inUse === undefined ? [] : link.macvtaps.filter((device) => !inUse.has(device))
  const complaints: Finding[] = [
    ...leftOver.map((device) => ({
      ...common,
      level: 'warn' as const,
      message: `${device} is on it, and no running VM has it: a bridge cannot have the uplink, nor a passthrough`,
      hint: `Remove it, if no other program needs it: ip link delete dev ${device}`,
    })),
    ...(link.carrier
      ? []
      : [
          {
            ...common,
            level: 'warn' as const,
            message: link.up ? 'has no carrier' : 'is down; vmr sets it up when a VM uses it',
            hint: 'Plug the cable in, and switch the far end on.',
          },
        ]),
    ...(link.master !== undefined && !link.masterIsBridge
      ? [
          {
            ...common,
            level: 'fail' as const,
            message: `belongs to ${link.master}, which is no bridge: neither a bridge nor a macvtap can have it`,
            hint: `ip link set dev ${name} nomaster, or use ${link.master} as the uplink.`,
          },
        ]
      : []),
    ...(link.master !== undefined && link.masterIsBridge && !link.master.startsWith('vmr')
      ? [
          {
            ...common,
            level: 'warn' as const,
            message: `is held by the bridge ${link.master}, which vmr did not make: the macvtap modes cannot have it`,
            hint: `ip link set dev ${name} nomaster, if nothing else needs it there.`,
          },
        ]
      : []),
    ...(link.offloads?.includes('large-receive-offload')
      ? [
          {
            ...common,
            level: 'warn' as const,
            message: 'merges received packets (LRO), which breaks forwarding and bridging',
            hint: `ethtool -K ${name} lro off`,
          },
        ]
      : []),
  ]
  const speed = link.speed === undefined || link.speed <= 0 ? '' : `, ${link.speed} Mbit/s`
  const taps = link.macvtaps.length === 0 ? '' : `, under ${link.macvtaps.join(', ')}`
  const held = link.master === undefined ? '' : `, in ${link.master}`
  return complaints.length > 0 ? complaints : [{ ...common, level: 'pass', message: `up${speed}${held}${taps}` }]
}
