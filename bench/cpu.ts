import { readFileSync } from 'node:fs';

/** Linux tells CPU time in hundredths of a second (USER_HZ), whatever the kernel's own tick. */
const TICKS_PER_SECOND = 100;

/** Numbers of /proc/<pid>/stat from field 3 (state) on; the name in field 2 may hold anything. */
function fieldsOf(pid: number | 'self'): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** CPU seconds of a process so far, all threads, user and system. */
export function cpuOf(pid: number): number {
  const fields = fieldsOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** CPU seconds of this process and of its children that have ended. */
export function cpuOfSelf(): number {
  const fields = fieldsOf('self');
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) / TICKS_PER_SECOND;
}

/** CPU seconds of the whole machine so far: everything but idle and waiting for disks. */
export function cpuOfMachine(): number {
  const [, user, nice, system, , , irq, softIrq, steal] = (
    readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] as string
  ).split(/ +/);
  return [user, nice, system, irq, softIrq, steal].reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** Resident memory of a process in MiB. */
export function memoryOf(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kibibytes) / 1024;
}

/** The most that a process has had resident, MiB; undefined when it has ended. */
export function peakMemoryOf(pid: number): number | undefined {
  try {
    const kibibytes = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) / 1024;
  } catch {
    return undefined;
  }
}
