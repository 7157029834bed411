import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

export function checkLibvirt({ libvirt }: HostObservation): Finding[] {
  if (libvirt.kind === 'refuses')
    return [
      {
        area: 'libvirt',
        subject: 'connection',
        level: 'fail',
        message: libvirt.message,
        ...(libvirt.hint === undefined ? {} : { hint: libvirt.hint }),
      },
    ]
  return [
    { area: 'libvirt', subject: 'connection', level: 'pass', message: `libvirt ${libvirt.libvirt} answers` },
    libvirt.daemons.length > 1
      ? {
          area: 'libvirt',
          subject: 'daemons',
          level: 'warn',
          message: 'libvirtd and virtqemud both listen: each knows only the VMs that it started',
          hint: 'Keep one of them: systemctl disable --now libvirtd.socket, or virtqemud.socket.',
        }
      : {
          area: 'libvirt',
          subject: 'daemons',
          level: 'pass',
          message: `${libvirt.daemons[0] ?? 'one elsewhere'} alone`,
        },
    { area: 'libvirt', subject: 'QEMU', level: 'pass', message: libvirt.qemu },
    libvirt.virtlogd
      ? { area: 'libvirt', subject: 'virtlogd', level: 'pass', message: 'is there for serial logs' }
      : {
          area: 'libvirt',
          subject: 'virtlogd',
          level: 'fail',
          message: 'its socket is missing: a VM with a serial log does not start',
          hint: 'Start it: systemctl start virtlogd.socket, or `virtlogd -d` without systemd.',
        },
  ]
}
