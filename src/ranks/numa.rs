//! Memory nodes: processors and the memory that is near them.

/// Keeps this thread, and those that it starts, on the processors of a memory node, the `i`-th,
/// going round. Memory that they touch first is then near them. Does nothing where there is one node,
/// or where the system does not say.
#[cfg(target_os = "linux")]
pub(super) fn stay_on_node(i: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let nodes = nodes();
    let Ok(may) = sched_getaffinity(None) else {
        return;
    };
    if nodes.len() < 2 {
        return;
    }
    let mut own = CpuSet::new();
    let processors = nodes[i % nodes.len()].iter().copied();
    let ours = processors.filter(|&c| c < CpuSet::MAX_CPU && may.is_set(c));
    ours.for_each(|c| own.set(c));
    if own.count() > 0 {
        let _ = sched_setaffinity(None, &own);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stay_on_node(_: usize) {}

/// The processors of each memory node that has any.
#[cfg(target_os = "linux")]
fn nodes() -> Vec<Vec<usize>> {
    let path = |i| format!("/sys/devices/system/node/node{i}/cpulist");
    let lists = (0..).map_while(|i| std::fs::read_to_string(path(i)).ok());
    lists
        .map(|list| processors(&list))
        .filter(|list| !list.is_empty())
        .collect()
}

/// `0-3,8` as the kernel writes it.
#[cfg(target_os = "linux")]
fn processors(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_read() {
        assert_eq!(processors("0-2,8\n"), [0, 1, 2, 8]);
        assert!(processors("\n").is_empty());
    }
}
