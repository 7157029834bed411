import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { ConnectError, ConnectionLostError, LibvirtError } from '../libvirt/index.ts'

/** libvirt wraps the kernel's ENOSPC in its own message; the text is strerror(3)'s in the C locale. */
const diskFull = /No space left on device/
/** qemuFirmwareFillDomain in libvirt's src/qemu/qemu_firmware.c. */
const firmwareMissing = /Unable to find any firmware/
/** tc's words, for the queue disciplines that libvirt limits rates with (virNetDevBandwidthSet). */
const qdiscMissing = /Specified qdisc kind is unknown/
/** virNetDevGetMTU and virNetDevGetIndex in libvirt's src/util/virnetdev.c, for a bridge and for a macvtap's NIC. */
const linkMissing = /(?:Cannot get interface MTU on|Unable to get index for interface) '?([\w.-]+)'?: No such device/
/** virChrdevOpen in libvirt's src/conf/virchrdev.c. */
const consoleTaken = /Active console session exists/

/**
 * What libvirt answered, as the one line that a person needs: which object, libvirt's own words, what to do.
 * Errors that are not libvirt's pass unchanged.
 *
 * @param doing what failed, as "defining r1".
 */
export function libvirtFailure(doing: string, error: unknown): unknown {
  if (isVmrError(error)) return error
  if (error instanceof ConnectError) return connectFailure(error)
  if (error instanceof ConnectionLostError)
    return new VmrError('LIBVIRT_SILENT', `${doing}: the connection to libvirt was lost: ${error.message}`, {
      hint: 'Check that libvirtd runs (`systemctl status libvirtd`), then run the command again.',
      cause: error,
    })
  if (!(error instanceof LibvirtError)) return error
  if (diskFull.test(error.message))
    return new VmrError('HOST_DISK_FULL', `${doing}: ${error.message}`, { hint: 'Free disk space.', cause: error })
  const missing = linkMissing.exec(error.message)?.[1]
  if (missing !== undefined)
    return new VmrError(
      'UPLINK_NOT_FOUND',
      `${doing}: this host has no link ${missing}, which a NIC is to be attached to`,
      {
        hint: `See \`ip -br link\`, and name one that exists as the NIC’s source.`,
        cause: error,
      },
    )
  if (consoleTaken.test(error.message))
    return new VmrError('GUEST_CONSOLE_BUSY', `${doing}: another client has the console`, {
      hint: 'Leave it there first (Ctrl-] in `vmr vm console` and `virsh console`), or take it over with --force.',
      cause: error,
    })
  if (qdiscMissing.test(error.message))
    return new VmrError('LIBVIRT_FAILED', `${doing}: ${error.message}`, {
      hint: 'The kernel cannot limit rates as libvirt does: load sch_htb and sch_sfq, or remove bandwidth.',
      cause: error,
    })
  if (firmwareMissing.test(error.message))
    return new VmrError('LIBVIRT_FAILED', `${doing}: ${error.message}`, {
      hint: 'Install UEFI images (Debian: apt install ovmf), name them under firmware, or set firmware: bios.',
      cause: error,
    })
  return new VmrError('LIBVIRT_FAILED', `${doing}: ${error.message}`, { cause: error })
}

function connectFailure(error: ConnectError): VmrError {
  switch (error.reason) {
    case 'socket-missing':
      return new VmrError('LIBVIRT_SOCKET_MISSING', `libvirt's socket is missing: ${error.message}`, {
        hint: 'Install libvirt-daemon-system and start it: `systemctl start libvirtd`, or `make setup` without systemd.',
        cause: error,
      })
    case 'permission-denied':
    case 'authentication-refused':
      return new VmrError('LIBVIRT_PERMISSION', `libvirt refuses this user: ${error.message}`, {
        hint: 'Run vmr as root, or join the group libvirt and log in again.',
        cause: error,
      })
    case 'uri-unsupported':
    case 'open-refused':
      return new VmrError('LIBVIRT_URI_UNSUPPORTED', error.message, {
        hint: 'Use qemu:///system, qemu:///session or test:///default.',
        cause: error,
      })
    default:
      return new VmrError('LIBVIRT_SILENT', `libvirt does not answer: ${error.message}`, {
        hint: 'Check that libvirtd runs and is not stopped, then run the command again.',
        cause: error,
      })
  }
}

/** Runs `action`; what libvirt refuses becomes a VmrError that says so of `doing`. */
export async function withLibvirt<T>(doing: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw libvirtFailure(doing, error)
  }
}
