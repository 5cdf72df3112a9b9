//! The system calls that the process may make: those of Docker's default profile.
//!
//! What is not in the table fails with `EPERM`, as in Docker, or with `ENOSYS` if it is newer than the table, to which
//! programs know an answer. The kernel works out once which calls are always allowed and asks the filter only about the
//! others, so a long list costs nothing.
//!
//! Docker also lets in programs of 32 bits, which have numbers of their own; here they may make no system call.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, ENOSYS, EPERM,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SYS_clone, SYS_clone3, SYS_personality, SYS_socket,
};

use crate::system::{self, Instruction};
use crate::{Error, Result};

/// `AUDIT_ARCH_…` of `linux/audit.h`: the machine's number in ELF, with the bits for 64 bits and little endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// `struct seccomp_data` of `linux/seccomp.h`: where in it the things are that the filter looks at.
const NUMBER: u32 = 0;
const ARCHITECTURE_OF_CALL: u32 = 4;
/// The lower half of the first argument, on machines that begin with it.
const FIRST_ARGUMENT: u32 = 16;

/// The newest call that the table knows of: `removexattrat`. Since 2019 every architecture has the same new numbers.
const NEWEST: u32 = 466;

/// The flags of `clone` that make namespaces.
const NAMESPACES: u32 = 0x7e02_0000;
/// What `personality` may be asked for: nothing, and to forget or to be asked about what is harmless.
const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x2_0000, 0x2_0008, u32::MAX];
const AF_VSOCK: u32 = 40;

const ALLOW: u32 = SECCOMP_RET_ALLOW;
const REFUSE: u32 = SECCOMP_RET_ERRNO | EPERM as u32;
const UNKNOWN: u32 = SECCOMP_RET_ERRNO | ENOSYS as u32;

/// Has the kernel refuse the other calls from here on.
pub(crate) fn load() -> Result<()> {
    system::filter_system_calls(&mut filter()).map_err(Error::io("load", "the system call filter"))
}

fn filter() -> Vec<Instruction> {
    let mut filter = vec![
        load_word(ARCHITECTURE_OF_CALL),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(REFUSE),
        load_word(NUMBER),
        jump(BPF_JGT, NEWEST, 0, 1),
        answer(UNKNOWN),
    ];
    for number in ALLOWED.iter().chain(ALLOWED_HERE) {
        filter.extend([jump(BPF_JEQ, *number, 0, 1), answer(ALLOW)]);
    }
    filter.extend(when(SYS_clone3, &[answer(UNKNOWN)]));
    let no_namespaces = [jump(BPF_JEQ, 0, 0, 1), answer(ALLOW), answer(REFUSE)];
    let flags = [load_word(FIRST_ARGUMENT), instruction(BPF_ALU | BPF_AND | BPF_K, NAMESPACES, 0, 0)];
    filter.extend(when(SYS_clone, &[flags.as_slice(), &no_namespaces].concat()));
    let not_vsock = [load_word(FIRST_ARGUMENT), jump(BPF_JEQ, AF_VSOCK, 1, 0), answer(ALLOW), answer(REFUSE)];
    filter.extend(when(SYS_socket, &not_vsock));
    let one_of_them = PERSONALITIES.iter().flat_map(|value| [jump(BPF_JEQ, *value, 0, 1), answer(ALLOW)]);
    let personality: Vec<_> = [load_word(FIRST_ARGUMENT)].into_iter().chain(one_of_them).collect();
    filter.extend(when(SYS_personality, &personality));
    filter.push(answer(REFUSE));
    filter
}

/// What is done for one call only.
fn when(number: libc::c_long, what: &[Instruction]) -> Vec<Instruction> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    [&[jump(BPF_JEQ, number, 0, what.len() as u8)], what].concat()
}

fn load_word(offset: u32) -> Instruction {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

fn jump(compare: u32, with: u32, if_so: u8, if_not: u8) -> Instruction {
    instruction(BPF_JMP | compare | BPF_K, with, if_so, if_not)
}

fn answer(with: u32) -> Instruction {
    instruction(BPF_RET | BPF_K, with, 0, 0)
}

fn instruction(code: u32, k: u32, if_so: u8, if_not: u8) -> Instruction {
    Instruction { code: code as u16, jt: if_so, jf: if_not, k }
}

/// The numbers of the system calls of those names, or those numbers.
macro_rules! calls {
    ($($name:ident)* ; $($number:literal)*) => { &[$(::libc::$name as u32,)* $($number),*] };
}

/// Those that every architecture has; the numbers are of calls that the C library has no name for yet: `cachestat`,
/// `fchmodat2`, `map_shadow_stack`, `futex_wake` and its like, `statmount`, `listmount`, `setxattrat` and its like.
#[rustfmt::skip]
const ALLOWED: &[u32] = calls!(
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_chroot
    SYS_clock_adjtime SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range
    SYS_connect SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat
    SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark SYS_fchdir SYS_fchmod SYS_fchmodat
    SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock
    SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex
    SYS_futex_waitv SYS_get_robust_list SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid
    SYS_getgid SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid
    SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrusage SYS_getsid SYS_getsockname
    SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch
    SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_io_setup
    SYS_io_submit SYS_ioctl SYS_ioprio_get SYS_ioprio_set SYS_kill SYS_landlock_add_rule
    SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat SYS_listen
    SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_madvise SYS_membarrier
    SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlock2
    SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive
    SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_mseal SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd
    SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat
    SYS_openat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free
    SYS_pkey_mprotect SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64
    SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev SYS_pselect6 SYS_ptrace SYS_pwrite64
    SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg
    SYS_recvmsg SYS_remap_file_pages SYS_removexattr SYS_renameat2 SYS_restart_syscall SYS_rseq
    SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn
    SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam
    SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget
    SYS_semop SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_set_robust_list
    SYS_set_tid_address SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid
    SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid SYS_setreuid SYS_setsid SYS_setsockopt
    SYS_setuid SYS_setxattr SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack
    SYS_signalfd4 SYS_socketpair SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_syncfs
    SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime
    SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat SYS_vmsplice
    SYS_wait4 SYS_waitid SYS_write SYS_writev ;
    451 452 453 454 455 456 457 458 463 464 465 466
);

/// Those of this architecture: most are older forms of the above. The number is that of `io_pgetevents`.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[u32] = calls!(
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_ctl_old SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat
    SYS_get_thread_area SYS_getdents SYS_getpgrp SYS_getrlimit SYS_inotify_init SYS_lchown SYS_link
    SYS_lstat SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink
    SYS_rename SYS_renameat SYS_rmdir SYS_select SYS_set_thread_area SYS_setrlimit SYS_signalfd SYS_stat
    SYS_symlink SYS_sync_file_range SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork ;
    333
);

/// `renameat`, `sync_file_range`, `getrlimit`, `setrlimit`, `io_pgetevents`.
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[u32] = calls!( ; 38 84 163 164 292);

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers, by a machine of the few instructions that it is made of.
    fn run(architecture: u32, number: u32, argument: u32) -> u32 {
        let filter = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = filter[at];
            at += 1;
            match u32::from(code) {
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    value = [number, architecture, 0, 0, argument][k as usize / 4];
                }
                code if code == BPF_ALU | BPF_AND | BPF_K => value &= k,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => {
                    at += usize::from(if value == k { jt } else { jf });
                }
                code if code == BPF_JMP | BPF_JGT | BPF_K => {
                    at += usize::from(if value > k { jt } else { jf });
                }
                _ => return k,
            }
        }
    }

    #[test]
    fn calls_are_answered_as_docker_answers_them() {
        let here = |number: libc::c_long, argument| run(ARCHITECTURE, number.try_into().unwrap(), argument);
        assert_eq!(here(libc::SYS_read, 0), ALLOW);
        assert_eq!(here(libc::SYS_mount, 0), REFUSE);
        assert_eq!(here(SYS_clone, libc::SIGCHLD as u32), ALLOW);
        assert_eq!(here(SYS_clone, libc::CLONE_NEWUSER as u32), REFUSE);
        assert_eq!(here(SYS_clone3, 0), UNKNOWN);
        assert_eq!(here(SYS_socket, libc::AF_INET as u32), ALLOW);
        assert_eq!(here(SYS_socket, AF_VSOCK), REFUSE);
        assert_eq!(here(SYS_personality, 0x0008), ALLOW);
        assert_eq!(here(SYS_personality, 0x0040_0000), REFUSE);
        assert_eq!(run(ARCHITECTURE, NEWEST + 1, 0), UNKNOWN);
        assert_eq!(run(3, 4, 0), REFUSE);
    }
}
