"""Who asked for the memory: the first function of a trace past the allocator's own."""

import re
from collections.abc import Sequence

from pagewarden.klog.types import Frame

# Functions that allocate on somebody's behalf, or that only print the report. Suffixes that compilers add
# (".constprop.0", ".isra.64", ".part.0", ".cold", ".cfi_jt") and "_noprof" are dropped before the comparison.
_OWN = re.compile(
    r"dump_stack(?:_lvl)?|show_stack|show_trace.*|dump_backtrace|unwind_backtrace|dump_header|warn_alloc(?:_failed|_show_mem)?|"
    r"v?panic|check_panic_on_oom|oom_kill_process|(?:\w+_)?_*out_of_memory|oom_badness|select_bad_process|out_of_memory|"
    r"mem_cgroup_(?:\w+_)?oom\w*|mem_cgroup_oom|_*(?:mem_cgroup_)?(?:try_)?charge(?:_\w+)?|_*mem_cgroup_\w*charge\w*|"
    r"obj_cgroup_charge\w*|_*memcg_slab_\w+|_*memcg_charge\w*|_*memcg_kmem_charge\w*|"
    r"_*alloc_pages?(?:_\w+)?|_*alloc_(?:frozen|kmem)_pages?\w*|alloc_page_\w+|_*get_free_pages?|get_zeroed_page|get_page_from_freelist|"
    r"_*folio_alloc(?:_\w+)?|folio_prealloc|vma_alloc_folio\w*|_*page_cache_alloc|_*page_frag_(?:cache_)?(?:alloc|refill)\w*|"
    r"page_frag_alloc_align|_*napi_alloc_frag\w*|_*netdev_alloc_frag\w*|_*alloc_page_frag|skb_page_frag_refill|"
    r"_*kv?[mz]?[mc]?alloc(?:_\w+)?|_*kmem_cache_alloc\w*|_*kmalloc\w*|_*krealloc\w*|_*kvmalloc\w*|kmem_getpages|kmem_alloc\w*|"
    r"_*cache_alloc\w*|_*do_cache_alloc|cache_grow(?:_begin)?|fallback_alloc|_*slab_alloc\w*|_*slab_alloc|new_slab(?:_objects)?|"
    r"allocate_slab|alloc_slab_page|refill_objects|_*pcs_\w+|_*slob_\w+|slab_post_alloc_hook|"
    r"_*vmalloc\w*|vzalloc\w*|_*vmap\w*|execmem_\w*alloc\w*|module_alloc|mempool_alloc\w*|kimage_alloc_pages|"
    r"_*alloc_skb\w*|_*netdev_alloc_skb\w*|_*napi_alloc_skb\w*|_*(?:napi_)?build_skb\w*|napi_skb_cache_get|dev_alloc_skb|kmalloc_reserve|alloc_skb_with_frags|"
    r"pskb_expand_head|skb_copy(?:_expand)?|skb_clone|sock_alloc_send_p?skb|"
    r"_*dma_(?:direct_)?alloc\w*|dma_generic_alloc_coherent|x86_swiotlb_alloc_coherent|swiotlb_alloc\w*|"
    r"wakeup_kswapd|wake_all_kswapds|kcompactd\w*|wakeup_kcompactd|zone_watermark_ok\w*|_*zone_watermark_ok|"
    r"_*isolate_free_page|_raw_spin_\w+|_spin_\w+|preempt_count_\w+|___ratelimit|rcu_read_\w+|sync_page|preempt_schedule|"
    r"autoremove_wake_function|_*wake_up\w*|io_schedule\w*|_*srso_\w*return_thunk"
)
# They call nothing but the allocator: whatever stands within two frames below these asked for nothing. Each by its
# whole name: a driver's own alloc_page_...() does call what asks for memory.
_INNER = re.compile(
    r"_*alloc_pages?|_*alloc_pages_(?:node|nodemask|current|vma|mpol|exact(?:_nid)?|preferred_many|internal|slowpath|"
    r"high_priority|may_oom|cpuset_fallback|direct_(?:reclaim|compact)|bulk|nolock)|"
    r"alloc_page_(?:interleave|vma)|_*get_free_pages?|get_zeroed_page|kmem_getpages|fallback_alloc|cache_grow(?:_begin)?|_*cache_alloc(?:_refill|_node)|"
    r"_*slab_alloc(?:_node)?|new_slab(?:_objects)?|allocate_slab|alloc_slab_page"
)
_STRAY = 2
# These print the report: what they call is none of the request.
_PRINTS = re.compile(
    r"warn_alloc(?:_failed)?|dump_header|oom_kill_process|(?:\w+_)?out_of_memory|mem_cgroup_oom_synchronize"
)
_COMPILER = re.compile(r"(?:\.(?:constprop|isra|part|cold|cfi_jt|clone|llvm|lto_priv)(?:\.\d+)?){1,4}$")


def base_name(function: str) -> str:
    """The function's name in the source: without the compiler's suffixes and without "_noprof"."""
    return _COMPILER.sub("", function).removesuffix("_noprof")


def is_allocator(frame: Frame) -> bool:
    """Whether the frame is the allocator's own, or of the code that prints the report."""
    return _OWN.fullmatch(base_name(frame.function)) is not None


def find_caller(trace: tuple[Frame, ...]) -> Frame | None:
    """The innermost function that is not the allocator's own; None where the trace is empty or holds nothing else.

    Frames marked "?" count only where the kernel marked every frame so (built without frame pointers). What stands in
    the midst of the allocator's is stale, or the allocator's own by a name that is not known here.
    """
    frames = [frame for frame in trace if frame.reliable] or list(trace)
    frames = frames[_printed_until(frames) :]
    for index, frame in enumerate(frames):
        if not is_allocator(frame) and not any(_is_inner(outer) for outer in frames[index + 1 : index + 1 + _STRAY]):
            return frame
    return None


def _printed_until(frames: Sequence[Frame]) -> int:
    """How many frames are of what prints the report: they stand before the allocator's, with a few stale ones among
    them. Their names further out are stale."""
    end, strays = 0, 0
    for index, frame in enumerate(frames):
        if _PRINTS.fullmatch(base_name(frame.function)):
            end, strays = index + 1, 0
        strays += not is_allocator(frame)
        if strays > _STRAY or _is_inner(frame):
            break
    return end


def _is_inner(frame: Frame) -> bool:
    return _INNER.fullmatch(base_name(frame.function)) is not None
