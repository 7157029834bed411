/**
 * Every error vmr reports to a person, grouped by area. The number is the process's exit status, so that scripts can
 * tell "you asked for something impossible" from "the host lacks something" without reading text.
 *
 * Statuses that are not errors: 0 everything asked for was done and is healthy; 3 (`exitStatus.modeBroken`) everything
 * was measured, and at least one interface mode breaks a family; 10 (`exitStatus.configurationFailed`) the guest came up
 * without part of its configuration; 130 and 143 ended by SIGINT or SIGTERM after cleaning up.
 */
export const errorCodes = {
  // The caller's input: a flag, a file, a name.
  USAGE: 2,
  CONFIG_INVALID: 2,
  CONFIG_NOT_FOUND: 2,
  NAME_INVALID: 2,
  NIC_MODE_UNKNOWN: 2,
  NIC_MODE_INVALID: 2,
  TEMPLATE_INVALID: 2,

  // The host: packages, permissions, links.
  HOST_TOOL_MISSING: 4,
  HOST_PERMISSION: 4,
  HOST_COMMAND_FAILED: 4,
  HOST_DISK_FULL: 4,
  HOST_BUSY: 4,
  UPLINK_NOT_FOUND: 4,
  UPLINK_BUSY: 4,
  LAB_NOT_UP: 4,
  LAB_INCOMPLETE: 4,

  // libvirt and its domains.
  LIBVIRT_SOCKET_MISSING: 5,
  LIBVIRT_PERMISSION: 5,
  LIBVIRT_SILENT: 5,
  LIBVIRT_URI_UNSUPPORTED: 5,
  LIBVIRT_FAILED: 5,
  VM_NOT_FOUND: 5,
  VM_EXISTS: 5,
  VM_NOT_OURS: 5,
  VM_NOT_RUNNING: 5,
  VM_RUNNING: 5,
  SNAPSHOT_NOT_FOUND: 5,
  SNAPSHOT_EXISTS: 5,

  // The guest: boot, login, its configuration.
  GUEST_BOOT_TIMEOUT: 6,
  GUEST_LOGIN_FAILED: 6,
  GUEST_CONSOLE_LOST: 6,
  GUEST_CONSOLE_BUSY: 6,
  GUEST_COMMAND_TIMEOUT: 6,
  GUEST_CONFIG_REFUSED: 6,
  GUEST_NOT_READY: 6,
  GUEST_SSH_UNREACHABLE: 6,
  GUEST_HOST_KEY_CHANGED: 6,
  GUEST_SSH_LOST: 6,
  GUEST_API_UNREACHABLE: 6,
  GUEST_API_LOST: 6,
  GUEST_CERTIFICATE_CHANGED: 6,

  // Images.
  IMAGE_NOT_FOUND: 7,
  IMAGE_INVALID: 7,
  IMAGE_BUILD_FAILED: 7,
  IMAGE_EXISTS: 7,
  IMAGE_IN_USE: 7,
  IMAGE_INSTALL_FAILED: 7,

  // Measurements and their results.
  MEASUREMENT_FAILED: 8,
  RESULTS_INVALID: 8,
  CLEANUP_INCOMPLETE: 8,
  ADDRESS_DUPLICATE: 8,

  // A time limit or the caller's AbortSignal ended the operation.
  TIMED_OUT: 9,
  INTERRUPTED: 130,

  // A defect in vmr itself.
  INTERNAL: 1,
} as const

export type ErrorCode = keyof typeof errorCodes

export const exitStatus = {
  ok: 0,
  internal: 1,
  modeBroken: 3,
  configurationFailed: 10,
  interrupted: 130,
  terminated: 143,
} as const
