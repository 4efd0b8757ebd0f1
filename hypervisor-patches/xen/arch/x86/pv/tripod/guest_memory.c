/* SPDX-License-Identifier: GPL-2.0-only */
/* What only Xen can know of a guest's vCPU and memory; the harness has its own. */
#include "internal.h"

struct tripod_domain *tripod_of(const struct domain *d)
{
    return d->arch.pv.tripod;
}

uint64_t tripod_kernel_sp(const struct vcpu *v)
{
    return v->arch.pv.kernel_sp;
}

/* While user code runs, the kernel's GS base is the inactive one, which toggle_guest_mode() keeps here. */
uint64_t tripod_kernel_gs(const struct vcpu *v)
{
    return v->arch.pv.gs_base_kernel;
}

/* One level down: the frame that a page table entry names, if this domain owns it. */
static bool walk(const struct domain *d, mfn_t table, unsigned int index, mfn_t *next)
{
    const uint64_t *entries = map_domain_page(table);
    uint64_t entry = ACCESS_ONCE(entries[index]);

    unmap_domain_page(entries);
    if ( (entry & (_PAGE_PRESENT | _PAGE_PSE)) != _PAGE_PRESENT )
        return false;
    *next = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    return mfn_valid(*next) && page_get_owner(mfn_to_page(*next)) == d;
}

/*
 * The table that maps the 2 MiB around `va`. Walks are remembered: a Linux kernel neither frees nor moves the tables of
 * its own half. That a remembered frame still is an L1 table of this domain is checked each time; a guest that has
 * moved its tables none the less misleads only the classification of its own descriptors.
 */
static bool find_l1_table(struct vcpu *v, uint64_t va, mfn_t *table)
{
    struct domain *d = v->domain;
    uint64_t region = va >> (PAGE_SHIFT + 9);
    struct tripod_walk *walked = &tripod_of(d)->walks[region % TRIPOD_WALKS];
    const struct page_info *page;
    unsigned int level;

    if ( walked->region == region )
    {
        page = mfn_to_page(_mfn(walked->table));
        if ( page_get_owner(page) == d && (page->u.inuse.type_info & PGT_type_mask) == PGT_l1_page_table )
        {
            *table = _mfn(walked->table);
            return true;
        }
    }
    *table = pagetable_get_mfn(v->arch.guest_table);
    for ( level = 4; level > 1; level-- )
        if ( !walk(d, *table, (va >> (PAGE_SHIFT + 9 * (level - 1))) & 511, table) )
            return false;
    *walked = (struct tripod_walk){ .region = region, .table = mfn_x(*table) };
    return true;
}

/*
 * Copies from one page of the guest kernel's address space, by its own page tables. Refused: user addresses, Xen's
 * own slots (which every guest L4 table carries), and frames that are not the guest's. The final frame is held while
 * it is read; a table that another vCPU frees under the walk can at worst make it end in another of the guest's frames.
 */
bool tripod_read_kernel_page(struct vcpu *v, uint64_t va, void *to, uint32_t bytes)
{
    struct page_info *page;
    const uint64_t *entries;
    const void *from;
    uint64_t entry;
    mfn_t mfn;

    if ( (va >> 47) != 0x1ffff || (va >= HYPERVISOR_VIRT_START && va < HYPERVISOR_VIRT_END) ||
         !find_l1_table(v, va, &mfn) )
        return false;

    /* The last level has no PSE: that bit is PAT there. */
    entries = map_domain_page(mfn);
    entry = ACCESS_ONCE(entries[(va >> PAGE_SHIFT) & 511]);
    unmap_domain_page(entries);
    mfn = _mfn((entry & PADDR_MASK) >> PAGE_SHIFT);
    if ( !(entry & _PAGE_PRESENT) || !mfn_valid(mfn) )
        return false;
    page = mfn_to_page(mfn);
    if ( !get_page(page, v->domain) )
        return false;
    from = map_domain_page(mfn) + (va & ~PAGE_MASK);
    /* Nearly every read is one field. */
    if ( bytes == 8 )
        *(uint64_t *)to = *(const uint64_t *)from;
    else
        memcpy(to, from, bytes);
    unmap_domain_page(from);
    put_page(page);
    return true;
}
