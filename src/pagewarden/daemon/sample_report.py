"""A report of our own making, which the service decodes before it says that it is ready."""

LINES = (
    "selftest: page allocation failure: order:0, mode:0xa20(GFP_ATOMIC), nodemask=(null),cpuset=/,mems_allowed=0",
    "CPU: 0 PID: 4242 Comm: selftest Not tainted 6.1.0-1-amd64 #1 made up",
    "Call Trace:",
    " <IRQ>",
    " dump_stack_lvl+0x44/0x5c",
    " warn_alloc+0x151/0x170",
    " __alloc_pages_slowpath.constprop.0+0xd04/0xe70",
    " __alloc_pages+0x305/0x330",
    " skb_page_frag_refill+0x91/0x120",
    " try_fill_recv+0x301/0x7f0 [virtio_net]",
    " virtnet_poll+0x3cb/0x4e4 [virtio_net]",
    " </IRQ>",
    "Mem-Info:",
    "active_anon:10 inactive_anon:10000 isolated_anon:0",
    "Node 0 DMA32 free:100kB boost:0kB min:1000kB low:1250kB high:1500kB reserved_highatomic:0KB active_anon:0kB "
    "inactive_anon:40000kB active_file:0kB inactive_file:0kB unevictable:0kB writepending:0kB present:262144kB "
    "managed:250000kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB",
    "lowmem_reserve[]: 0 0 0 0 0",
    "Node 0 DMA32: 25*4kB (U) 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 100kB",
    "10000 total pagecache pages",
    "65536 pages RAM",
)

EXPECTED = {
    "kind": "page-allocation-failure",
    "cause": "atomic-reserve-exhausted",
    "caller": "try_fill_recv [virtio_net]",
    "key": "vm.min_free_kbytes",
}
"""What must come out, by the names of `work.decode`."""
