"""Which genes go into a data set."""

import pytest
from toy_genome import GTF

from raygenex.data.build.candidates import NOT_CHOSEN, count_reasons, none_left
from raygenex.errors import DataError


def test_genes_come_in_the_order_of_the_genome(find):
    genes, dropped = find()
    assert [(gene.gene_id, gene.chrom, gene.tss, gene.strand, gene.rule) for gene in genes] == [
        ("P", "I", 21, "+", "only"),
        ("M", "I", 190, "-", "only"),
        ("S", "II", 31, "+", "only"),
    ]
    assert dropped == {"R": "biotype tRNA"}
    assert {(gene.first, gene.stop) for gene in genes} == {(-10, 10)}


def test_windows_that_leave_the_chromosome(find):
    # P starts at base 21, so 20 bases lie before it; M is at 190 of 220, so 30 lie before it on its strand.
    assert [gene.gene_id for gene in find(window=[-20, 5])[0]] == ["P", "M", "S"]
    genes, dropped = find(window=[-21, 5])
    assert [gene.gene_id for gene in genes] == ["M", "S"]
    assert dropped["P"] == "window leaves the chromosome"
    genes, dropped = find(window=[-31, 5])
    assert genes == []
    assert count_reasons(dropped) == {"window leaves the chromosome": 3, "biotype tRNA": 1}
    assert len(find(window=[-110, 110], out_of_bounds="pad")[0]) == 3


def test_biotypes_and_chromosomes_are_chosen(find):
    genes, dropped = find(biotypes=[])
    assert [gene.gene_id for gene in genes] == ["P", "M", "S"]
    assert dropped == {"R": "no coding sequence"}
    genes, dropped = find(biotypes=["tRNA"], window=[-5, 5])
    assert genes == []
    assert dropped["R"] == "no coding sequence"
    genes, dropped = find(chromosomes="II")
    assert [gene.gene_id for gene in genes] == ["S"]
    assert dropped["P"] == "chromosome not chosen"
    assert [gene.gene_id for gene in find(chromosomes="I*")[0]] == ["P", "M", "S"]


def test_a_gene_without_exons_is_told(find):
    _, dropped = find(GTF + 'II\ttoy\tgene\t5\t9\t.\t+\t.\tgene_id "E"; gene_biotype "protein_coding";\n')
    assert dropped == {"E": "no usable transcript", "R": "biotype tRNA"}


def test_a_gene_without_exons_whose_biotype_is_not_chosen_is_of_that_biotype(find):
    line = 'II\ttoy\tgene\t5\t9\t.\t+\t.\tgene_id "{}"; {}\n'
    more = line.format("E", 'gene_biotype "lncRNA";') + line.format("N", "")
    genes, dropped = find(GTF + more)
    assert len(genes) == 3
    # Biotypes may be those of the transcripts, which N has not.
    assert dropped == {"E": "biotype lncRNA", "N": "no usable transcript", "R": "biotype tRNA"}
    assert find(GTF + more, biotypes=[])[1]["E"] == "no usable transcript"


def test_biotypes_of_genes_without_exons_are_known(find, sentence):
    bare = "".join(line for line in GTF.splitlines(True) if "\tgene\t" in line or '"R"' in line)
    genes, dropped = find(bare)
    assert genes == []
    assert dropped == {**dict.fromkeys("PMS", "no usable transcript"), "R": "biotype tRNA"}
    error = none_left("genes.gtf", dropped | dict.fromkeys("ABCDEFGH", NOT_CHOSEN))
    assert str(error).startswith(
        "no gene of genes.gtf is left (3 no usable transcript, 1 biotype tRNA, 8 chromosome not chosen): use an "
        "annotation whose genes have exon or CDS lines"
    )


def test_genes_without_untranslated_regions_may_be_left_out(find):
    genes, dropped = find(missing_utr="drop")
    assert [gene.gene_id for gene in genes] == ["P", "M"]
    assert dropped["S"] == "no annotated UTR"


def test_peaks_move_the_start(find, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("I\t24\t27\tp1\t5\t+\nI\t20\t21\tp2\t1\t+\nI\t180\t181\tp3\t9\t+\nII\t90\t91\tp4\t9\t+\n")
    genes, _ = find(tss_peaks=str(bed), tss_distance=30)
    # The strongest on the strand, 24-27 from 0, has the middle base 26 from 1; M has none on its strand; II's is far.
    assert [gene.tss for gene in genes] == [26, 190, 31]


def test_missing_chromosomes_are_listed_with_the_fix(find, sentence):
    chr_style = GTF.replace("I\ttoy", "chrI\ttoy").replace("IchrI", "chrII")
    with pytest.raises(DataError) as info:
        find(chr_style)
    sentence(info, "genes on chrI, chrII", "(it has I, II)", "build.chromosome_names to strip_chr")
    genes, _ = find(chr_style, chromosome_names="strip_chr")
    assert [gene.chrom for gene in genes] == ["I", "I", "II"]
    with pytest.raises(DataError) as info:
        find(GTF.replace("II\ttoy", "scaffold\ttoy"))
    sentence(info, "genes on scaffold", "build.chromosomes")


def test_an_annotation_of_another_build_is_refused(find, sentence):
    moved = GTF.replace("II\ttoy\tgene\t31\t60", "II\ttoy\tgene\t131\t160")
    for kind in ("transcript", "exon"):
        moved = moved.replace(f"II\ttoy\t{kind}\t31\t60", f"II\ttoy\t{kind}\t131\t160")
    moved = moved.replace("II\ttoy\tCDS\t31\t57", "II\ttoy\tCDS\t131\t157").replace("58\t60", "158\t160")
    with pytest.raises(DataError) as info:
        find(moved)
    sentence(info, "gene S reaches base 160 of II", "has 100 bases", "one build")


def test_blanks_are_no_part_of_a_gene_id(find, sentence):
    spaced = GTF.replace('gene_id "P"', 'gene_id " P "')
    assert [gene.gene_id for gene in find(spaced)[0]] == [gene.gene_id for gene in find()[0]]
    with pytest.raises(DataError) as info:
        find(spaced.replace('gene_id "M"', 'gene_id "P"'))
    sentence(info, "genes.gtf: P is there twice without blanks")


def test_versions_must_not_be_all_that_tells_genes_apart(find, sentence):
    twins = GTF.replace('"P', '"G.1').replace('"M', '"G.2')
    assert len(find(twins)[0]) == 3
    with pytest.raises(DataError) as info:
        find(twins, strip_versions=True)
    sentence(info, "G.2 is there twice without version suffixes")


def test_typos_that_would_lose_genes_are_refused(find, sentence):
    with pytest.raises(DataError) as info:
        find(chromosomes=["I", "foo"])
    sentence(info, "nothing matches 'foo'", "I, II")
    with pytest.raises(DataError) as info:
        find(window=[-500, 500], out_of_bounds="pad")
    sentence(info, "asks for 1000 bases", "has 220")


def test_copies_of_a_gene_on_another_chromosome_are_left_out_first(find, sentence):
    copy = GTF.replace("I\ttoy", "alt\ttoy").replace("Ialt", "alt_2").split("\n", 1)[1]
    with pytest.raises(DataError) as info:
        find(GTF + copy)
    sentence(info, "gene P lies on both I and alt", "build.chromosomes")
    genes, dropped = find(GTF + copy, chromosomes=["I", "II"])
    assert [(gene.gene_id, gene.chrom, gene.tss) for gene in genes] == [
        ("P", "I", 21),
        ("M", "I", 190),
        ("S", "II", 31),
    ]
    assert dropped == {"R": "biotype tRNA"}
    genes, dropped = find(GTF + copy, chromosomes="II", biotypes=["protein_coding", "tRNA"], strip_versions=True)
    assert [gene.gene_id for gene in genes] == ["S"]
    assert dropped == {"P": "chromosome not chosen", "M": "chromosome not chosen", "R": "no coding sequence"}


def test_an_annotation_without_biotypes_says_how_to_take_all(find, sentence):
    bare = GTF.replace(' gene_biotype "protein_coding";', "").replace(' gene_biotype "tRNA";', "")
    with pytest.raises(DataError) as info:
        find(bare)
    sentence(info, "no gene of", "says its biotype", "build.biotypes to []")
    genes, dropped = find(bare, biotypes=[])
    assert [gene.gene_id for gene in genes] == ["P", "M", "S"]
    assert dropped == {"R": "no coding sequence"}
    with pytest.raises(DataError) as info:
        find(GTF.replace(' gene_biotype "tRNA";', ""), biotypes="lncRNA")
    sentence(info, "it has (none), protein_coding", "[] for all")


def test_peaks_of_another_naming_or_build_are_refused(find, tmp_path, sentence):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chrI\t24\t27\tp1\t5\t+\n")
    with pytest.raises(DataError) as info:
        find(tss_peaks=str(bed))
    sentence(info, "peaks on chrI", "genes lie on I, II")
    bed.write_text("II\t119\t120\tp1\t5\t+\n")
    with pytest.raises(DataError) as info:
        find(tss_peaks=str(bed), tss_distance=200, out_of_bounds="pad")
    sentence(info, "the peak of gene S is base 120 of II", "has 100 bases")
