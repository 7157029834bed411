import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connection } from '../../libvirt/index.ts'
import { checkHostKeys, fingerprintOf, type HostKey } from '../../shell/ssh/host-key.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import type { Vm } from '../../vm/find-vm.ts'
import { guestAccess } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { findRunningVm } from '../../vm/power.ts'
import { pinHostKeys, pinnedHostKeys } from '../../vm/ssh/host-keys.ts'
import { findSshRoute, requireRoute, sshRoutes } from '../../vm/ssh/route.ts'
import { sshArgv } from '../../vm/ssh/ssh-command.ts'
import { withGuest } from '../../vm/switch/finish-switch.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { runInForeground } from '../foreground.ts'
import { withProgress } from '../progress.ts'

interface VmSshOptions {
  readonly host?: string | undefined
  readonly user?: string | undefined
  readonly linux?: true | undefined
  readonly askPassword?: true | undefined
  readonly connect: string
}

export async function vmSsh(
  { terminal, signal }: CommandContext,
  name: string,
  command: readonly string[],
  { host, user, linux, askPassword, connect }: VmSshOptions,
): Promise<CommandStatus> {
  const found = await withConnection(
    connect,
    async (connection) => {
      const vm = await findRunningVm(connection, name, signal)
      const { testbed } = vm.metadata
      const routes = sshRoutes(testbed === undefined ? undefined : await loadTestbed(testbed), host)
      return withProgress(terminal, `reaching ${name}`, async (report) => {
        const { route, shown } = requireRoute(name, routes, await findSshRoute(routes, signal))
        const before = await pinnedHostKeys(name)
        if (before.length === 0) report('reading its host keys over its console')
        checkHostKeys(name, before.length > 0 ? before : await pin(connection, vm, signal), shown)
        return { vm, route }
      })
    },
    signal,
  )
  const { credentials } = guestAccess(found.vm.metadata.os, found.vm.facts.accelerator ?? 'tcg')
  const argv = sshArgv({
    ...{ name, uuid: found.vm.domain.uuid, user: user ?? credentials.user, route: found.route, command },
    kind: linux ? 'linux' : 'operational',
    askPassword: askPassword === true,
  })
  return runSsh(argv, askPassword || user !== undefined ? undefined : credentials.password, signal)
}

export async function vmTrust(
  { terminal, signal }: CommandContext,
  name: string,
  { json, connect }: { readonly json?: true | undefined; readonly connect: string },
): Promise<CommandStatus> {
  const keys = await withConnection(
    connect,
    async (connection) => {
      const vm = await findRunningVm(connection, name, signal)
      return withProgress(terminal, `reading the host keys of ${name}`, () => pin(connection, vm, signal))
    },
    signal,
  )
  const pinned = keys.map((key) => ({ type: key.type, fingerprint: fingerprintOf(key) }))
  if (json) terminal.json<'vm trust'>({ name, pinned })
  else for (const { type, fingerprint } of pinned) terminal.result(`pinned ${fingerprint} (${type})`)
  return undefined
}

function pin(connection: Connection, vm: Vm, signal: AbortSignal): Promise<readonly HostKey[]> {
  return withGuest(connection, vm, (console) => pinHostKeys(vm, console, { signal }), signal)
}

/**
 * Hands the terminal to OpenSSH. It gets a password that vmr knows by a program that prints it from a file of this user's
 * alone: never as an argument, which everybody on this host can read.
 */
async function runSsh(
  argv: readonly string[],
  password: string | undefined,
  signal: AbortSignal,
): Promise<CommandStatus> {
  if (password === undefined) return runInForeground(argv, { signal })
  const folder = await mkdtemp(join(tmpdir(), 'vmr-ssh-'))
  try {
    const [asked, secret] = [join(folder, 'password'), join(folder, 'secret')]
    await writeFile(secret, `${password}\n`, { mode: 0o600 })
    await writeFile(asked, '#!/bin/sh\nexec cat "$VMR_SSH_SECRET"\n', { mode: 0o700 })
    const env = { SSH_ASKPASS: asked, SSH_ASKPASS_REQUIRE: 'force', VMR_SSH_SECRET: secret }
    return await runInForeground(argv, { env, signal })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
