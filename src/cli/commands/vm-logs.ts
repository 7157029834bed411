import { readDomainFacts } from '../../domain/domain-facts.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { localShell } from '../../shell/local.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { wholeNumberOption } from '../number-option.ts'

interface VmLogsOptions {
  readonly json?: true | undefined
  readonly qemu?: true | undefined
  readonly lines: string
  readonly follow?: true | undefined
  readonly connect: string
}

export async function vmLogs(
  { terminal, signal }: CommandContext,
  name: string,
  { json, qemu, lines, follow, connect }: VmLogsOptions,
): Promise<CommandStatus> {
  const count = wholeNumberOption('--lines', lines, 1_000_000)
  const file = await withConnection(
    connect,
    async (connection) => {
      const { domain } = await findVm(connection, name, signal)
      if (qemu) return `/var/log/libvirt/qemu/${domain.name}.log`
      const { serial } = readDomainFacts(await connection.domainXml(domain, { inactive: true, signal }))
      if (serial?.log !== undefined) return serial.log
      throw new VmrError('CONFIG_INVALID', `${name} keeps no serial log`, {
        hint: 'Set serialLog: true in its definition, and create it anew.',
      })
    },
    signal,
  )
  const tail = ['tail', '-n', String(count), ...(follow ? ['-F'] : []), '--', file]
  if (follow) {
    const running = await localShell.start(tail, { signal })
    for await (const line of running.lines)
      if (json) terminal.jsonLine<'vm logs'>({ line: plainLine(line) })
      else terminal.result(plainLine(line))
    return undefined
  }
  const { stdout, stderr, exitCode } = await localShell.run(tail, { signal, maxOutputBytes: 256 * 1024 * 1024 })
  if (exitCode !== 0)
    throw new VmrError('HOST_COMMAND_FAILED', `the log of ${name} cannot be read: ${stderr.trim()}`, {
      hint: 'A VM that never ran has none; libvirt’s logs are for root.',
    })
  const shown = stdout.split('\n').map(plainLine)
  if (json) terminal.json<'vm logs'>({ name, file, lines: shown.slice(0, -1) })
  else terminal.result(shown.join('\n').trimEnd())
  return undefined
}

/** What a guest writes must not drive the reader's terminal; line ends are the terminal's own. */
function plainLine(line: string): string {
  return line.replace(/\r$/, '').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
}
