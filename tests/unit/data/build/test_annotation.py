import gzip
import re
from dataclasses import replace

import pytest

from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.transcripts import Transcript
from raygenex.data.gene_ids import strip_version
from raygenex.errors import DataError

CODING, SHORT = "ENST1", "ENST2"
# ENSG1 on +: the stop codon is split over an intron (base 24, bases 30 and 31). ENSG2 on -. ENSG3 is one piece.
EXPECTED = [
    Transcript("ENST1", "ENSG1", "AAA", "protein_coding", "I", "+", 5, 40,
               ((5, 10), (15, 24), (30, 40)), ((8, 10), (15, 24), (30, 31)),
               frozenset({"basic", "Ensembl_canonical"})),
    Transcript("ENST2", "ENSG1", "AAA", "protein_coding", "I", "+", 7, 38, ((7, 10), (30, 38)), (), frozenset()),
    Transcript("ENST3", "ENSG2", "", "protein_coding", "I", "-", 41, 58,
               ((41, 48), (52, 58)), ((43, 48), (52, 54)),
               frozenset({"basic", "MANE_Select", "appris_principal_1"})),
    Transcript("ENST4", "ENSG3", "CCC", "lncRNA", "II", "+", 3, 30, ((3, 30),), (), frozenset()),
]  # fmt: skip

ENSEMBL_GTF = """
#!genome-build R1-test
#!genome-build-accession GCA_1
I havana gene 5 40 . + . gene_id "ENSG1"; gene_version "3"; gene_name "AAA"; gene_biotype "protein_coding";
I havana transcript 5 40 . + . gene_id "ENSG1"; transcript_id "ENST1"; tag "basic"; tag "Ensembl_canonical"; tag "CCDS";
I havana exon 5 10 . + . gene_id "ENSG1"; transcript_id "ENST1"; exon_number "1"; tag "basic";
I havana CDS 8 10 . + 0 gene_id "ENSG1"; transcript_id "ENST1"; exon_number "1";
I havana start_codon 8 10 . + 0 gene_id "ENSG1"; transcript_id "ENST1";
I havana exon 15 24 . + . gene_id "ENSG1"; transcript_id "ENST1"; exon_number "2";
I havana CDS 15 23 . + 0 gene_id "ENSG1"; transcript_id "ENST1"; exon_number "2";
I havana exon 30 40 . + . gene_id "ENSG1"; transcript_id "ENST1"; exon_number "3";
I havana stop_codon 24 24 . + 0 gene_id "ENSG1"; transcript_id "ENST1";
I havana stop_codon 30 31 . + 2 gene_id "ENSG1"; transcript_id "ENST1";
I havana five_prime_utr 5 7 . + . gene_id "ENSG1"; transcript_id "ENST1";
I havana transcript 7 38 . + . gene_id "ENSG1"; transcript_id "ENST2"; transcript_biotype "retained_intron";
I havana exon 7 10 . + . gene_id "ENSG1"; transcript_id "ENST2";
I havana exon 30 38 . + . gene_id "ENSG1"; transcript_id "ENST2";
I havana gene 41 58 . - . gene_id "ENSG2"; gene_biotype "protein_coding";
I x transcript 41 58 . - . transcript_id "ENST3"; gene_id "ENSG2"; tag "MANE_Select,basic"; tag "appris_principal_1";
I havana exon 52 58 . - . gene_id "ENSG2"; transcript_id "ENST3";
I havana CDS 52 54 . - 0 gene_id "ENSG2"; transcript_id "ENST3";
I havana exon 41 48 . - . gene_id "ENSG2"; transcript_id "ENST3";
I havana CDS 46 48 . - 0 gene_id "ENSG2"; transcript_id "ENST3";
I havana stop_codon 43 45 . - 0 gene_id "ENSG2"; transcript_id "ENST3";
II havana gene 3 30 . + . gene_id "ENSG3"; gene_name "CCC"; gene_biotype "lncRNA";
II havana transcript 3 30 . + . gene_id "ENSG3"; transcript_id "ENST4"; gene_biotype "lncRNA";
II havana exon 3 30 . + . gene_id "ENSG3"; transcript_id "ENST4";
"""

GENCODE_GTF = (
    re.sub(r'gene_version "\d+"; |#!.*\n', "", ENSEMBL_GTF)
    .replace("biotype", "type")
    .replace('exon_number "1"', "exon_number 1")
    .replace(
        "\nI havana gene 5",
        "\n##description: evidence of the test genome (R1-test), version 1 (Ensembl 2)\nI havana gene 5",
    )
)

ENSEMBL_GFF3 = """
##gff-version 3
##sequence-region I 1 100
#!genome-build  Test Consortium R1-test
I x chromosome 1 100 . . . ID=chromosome:I;Alias=chr1,CM1
I . biological_region 2 9 . + . external_name=oe %3D 0.9;logic_name=cpg
###
I havana gene 5 40 . + . ID=gene:ENSG1;Name=AAA;biotype=protein_coding;gene_id=ENSG1;version=3
I havana mRNA 5 40 . + . ID=transcript:ENST1;Parent=gene:ENSG1;tag=basic,Ensembl_canonical,CCDS;transcript_id=ENST1
I havana five_prime_UTR 5 7 . + . Parent=transcript:ENST1
I havana exon 5 10 . + . Parent=transcript:ENST1;Name=ENSE1
I havana CDS 8 10 . + 0 ID=CDS:P1;Parent=transcript:ENST1
I havana exon 15 24 . + . Parent=transcript:ENST1
I havana CDS 15 24 . + 0 ID=CDS:P1;Parent=transcript:ENST1
I havana exon 30 40 . + . Parent=transcript:ENST1
I havana CDS 30 31 . + 2 ID=CDS:P1;Parent=transcript:ENST1
I havana lnc_RNA 7 38 . + . ID=transcript:ENST2;Parent=gene:ENSG1;biotype=retained_intron;transcript_id=ENST2
I havana exon 7 10 . + . Parent=transcript:ENST2
I havana exon 30 38 . + . Parent=transcript:ENST2
###
I havana gene 41 58 . - . ID=gene:ENSG2;biotype=protein_coding;gene_id=ENSG2
I x mRNA 41 58 . - . ID=transcript:ENST3;Parent=gene:ENSG2;tag=basic,MANE_Select,appris_principal_1;transcript_id=ENST3
I havana exon 41 48 . - . Parent=transcript:ENST3
I havana CDS 43 48 . - 0 ID=CDS:P3;Parent=transcript:ENST3
I havana exon 52 58 . - . Parent=transcript:ENST3
I havana CDS 52 54 . - 0 ID=CDS:P3;Parent=transcript:ENST3
###
II havana ncRNA_gene 3 30 . + . ID=gene:ENSG3;Name=CCC;biotype=lncRNA;gene_id=ENSG3
II havana lnc_RNA 3 30 . + . ID=transcript:ENST4;Parent=gene:ENSG3;biotype=lncRNA;transcript_id=ENST4
II havana exon 3 30 . + . Parent=transcript:ENST4
##FASTA
>I
ACGT
"""

GENCODE_GFF3 = """
##gff-version 3
##description: evidence-based annotation of the test genome (R1-test), version 44 (Ensembl 110)
I HAVANA gene 5 40 . + . ID=ENSG1;gene_id=ENSG1;gene_type=protein_coding;gene_name=AAA
I HAVANA transcript 5 40 . + . ID=ENST1;Parent=ENSG1;gene_id=ENSG1;transcript_id=ENST1;tag=basic,Ensembl_canonical
I HAVANA exon 5 10 . + . ID=exon:ENST1:1;Parent=ENST1;gene_id=ENSG1
I HAVANA CDS 8 10 . + 0 ID=CDS:ENST1;Parent=ENST1
I HAVANA start_codon 8 10 . + 0 ID=start_codon:ENST1:1;Parent=ENST1
I HAVANA exon 15 24 . + . ID=exon:ENST1:2;Parent=ENST1
I HAVANA CDS 15 24 . + 0 ID=CDS:ENST1;Parent=ENST1
I HAVANA exon 30 40 . + . ID=exon:ENST1:3;Parent=ENST1
I HAVANA CDS 30 31 . + 2 ID=CDS:ENST1;Parent=ENST1
I HAVANA stop_codon 24 24 . + 0 ID=stop_codon:ENST1:2;Parent=ENST1
I HAVANA stop_codon 30 31 . + 2 ID=stop_codon:ENST1:3;Parent=ENST1
I HAVANA three_prime_UTR 32 40 . + . ID=UTR3:ENST1:3;Parent=ENST1
I HAVANA transcript 7 38 . + . ID=ENST2;Parent=ENSG1;gene_id=ENSG1;transcript_id=ENST2;gene_type=protein_coding
I HAVANA exon 7 10 . + . ID=exon:ENST2:1;Parent=ENST2
I HAVANA exon 30 38 . + . ID=exon:ENST2:2;Parent=ENST2
I HAVANA gene 41 58 . - . ID=ENSG2;gene_id=ENSG2;gene_type=protein_coding
I HAVANA transcript 41 58 . - . ID=ENST3;Parent=ENSG2;transcript_id=ENST3;tag=basic,MANE_Select,appris_principal_1
I HAVANA exon 52 58 . - . ID=exon:ENST3:1;Parent=ENST3
I HAVANA CDS 52 54 . - 0 ID=CDS:ENST3;Parent=ENST3
I HAVANA exon 41 48 . - . ID=exon:ENST3:2;Parent=ENST3
I HAVANA CDS 43 48 . - 0 ID=CDS:ENST3;Parent=ENST3
II HAVANA gene 3 30 . + . ID=ENSG3;gene_id=ENSG3;gene_type=lncRNA;gene_name=CCC
II HAVANA transcript 3 30 . + . ID=ENST4;Parent=ENSG3;gene_id=ENSG3;transcript_id=ENST4;gene_type=lncRNA
II HAVANA exon 3 30 . + . ID=exon:ENST4:1;Parent=ENST4
"""

REFSEQ_GFF3 = """
##gff-version 3
#!gff-spec-version 1.21
#!genome-build R1-test
#!genome-build-accession NCBI_Assembly:GCF_1
##sequence-region I 1 100
I RefSeq region 1 100 . + . ID=I:1..100;Dbxref=taxon:1;gbkey=Src
I BestRefSeq gene 5 40 . + . ID=gene-ENSG1;Name=A%41A;description=one%2C two;gene=AAA;gene_biotype=protein_coding
I BestRefSeq mRNA 5 40 . + . ID=rna-ENST1;Parent=gene-ENSG1;Name=ENST1;gbkey=mRNA;gene=AAA;transcript_id=ENST1
I BestRefSeq exon 5 10 . + . ID=exon-ENST1-1;Parent=rna-ENST1;gbkey=mRNA
I BestRefSeq exon 15 24 . + . ID=exon-ENST1-2;Parent=rna-ENST1
I BestRefSeq exon 30 40 . + . ID=exon-ENST1-3;Parent=rna-ENST1
I BestRefSeq CDS 8 10 . + 0 ID=cds-P1;Parent=rna-ENST1;gbkey=CDS
I BestRefSeq CDS 15 24 . + 0 ID=cds-P1;Parent=rna-ENST1
I BestRefSeq CDS 30 31 . + 2 ID=cds-P1;Parent=rna-ENST1
I BestRefSeq transcript 7 38 . + . ID=rna-ENST2;Parent=gene-ENSG1;transcript_id=ENST2
I BestRefSeq exon 7 10 . + . ID=exon-ENST2-1;Parent=rna-ENST2
I BestRefSeq exon 30 38 . + . ID=exon-ENST2-2;Parent=rna-ENST2
I BestRefSeq gene 41 58 . - . ID=gene-ENSG2;gbkey=Gene;gene_biotype=protein_coding
I BestRefSeq mRNA 41 58 . - . ID=rna-ENST3;Parent=gene-ENSG2;tag=MANE Select
I BestRefSeq exon 52 58 . - . ID=exon-ENST3-1;Parent=rna-ENST3
I BestRefSeq exon 41 48 . - . ID=exon-ENST3-2;Parent=rna-ENST3
I BestRefSeq CDS 52 54 . - 0 ID=cds-P3;Parent=rna-ENST3
I BestRefSeq CDS 43 48 . - 0 ID=cds-P3;Parent=rna-ENST3
I Curated pseudogene 60 70 . - . ID=gene-OLD;gbkey=Gene;gene_biotype=pseudogene
I RefSeq cDNA_match 60 70 . - . ID=match1;Target=NM_1 1 10 +
II BestRefSeq gene 3 30 . + . ID=gene-ENSG3;Name=CCC;gene_biotype=lncRNA
II BestRefSeq primary_transcript 3 30 . + . ID=rna-ENST4;Parent=gene-ENSG3;transcript_id=ENST4
II BestRefSeq exon 3 30 . + . ID=exon-ENST4-1;Parent=rna-ENST4
II BestRefSeq miRNA 5 9 . + . ID=rna-MIR1;Parent=rna-ENST4
II BestRefSeq exon 5 9 . + . ID=exon-MIR1-1;Parent=rna-MIR1
"""


def tabs(text):
    lines = (line.strip() for line in text.strip().splitlines())
    return "".join((line if line[0] in "#>" else "\t".join(line.split(None, 8))) + "\n" for line in lines)


@pytest.fixture
def read(tmp_path):
    """Return a function that reads an annotation from a text whose columns stand between spaces."""

    def make(text, chromosomes=()):
        path = tmp_path / "genes"
        path.write_text(tabs(text))
        return read_annotation(str(path), None, chromosomes)

    return make


@pytest.fixture
def refuses(read, tmp_path, sentence):
    def check(text, *words):
        with pytest.raises(DataError) as info:
            read(text)
        sentence(info, tmp_path / "genes", *words)

    return check


def flat(annotation):
    assert all(t.gene_id == gene for gene, ts in annotation.transcripts.items() for t in ts)
    return [transcript for transcripts in annotation.transcripts.values() for transcript in transcripts]


@pytest.mark.parametrize("text", [ENSEMBL_GTF, GENCODE_GTF, ENSEMBL_GFF3, GENCODE_GFF3, REFSEQ_GFF3])
def test_every_style_says_the_same(read, text):
    annotation = read(text)
    if text == REFSEQ_GFF3:
        tags = [frozenset(), frozenset(), frozenset({"MANE_Select"}), frozenset()]
        expected = [replace(transcript, tags=tag) for transcript, tag in zip(EXPECTED, tags, strict=True)]
    else:
        expected = EXPECTED
    assert flat(annotation) == expected
    assert list(annotation.transcripts) == ["ENSG1", "ENSG2", "ENSG3"]
    assert annotation.genome_build == "R1-test"
    assert tuple(annotation.genes_without_transcripts) == (("OLD",) if text == REFSEQ_GFF3 else ())
    assert annotation.left_out == ()


def test_tss():
    assert [transcript.tss for transcript in EXPECTED] == [5, 7, 58, 3]


@pytest.mark.parametrize("text", [ENSEMBL_GTF, ENSEMBL_GFF3])
def test_order_of_lines_changes_nothing_but_the_order(read, text):
    lines = tabs(text.split("##FASTA")[0]).splitlines()
    annotation = read("\n".join(reversed(lines)))
    assert sorted(flat(annotation), key=lambda transcript: transcript.transcript_id) == EXPECTED


def test_gzip_and_plain_are_alike(read, tmp_path):
    plain = read(ENSEMBL_GTF)
    for name in ("genes.gtf.gz", "genes.txt"):
        (tmp_path / name).write_bytes(gzip.compress(tabs(ENSEMBL_GTF).encode()))
        packed = read_annotation(str(tmp_path / name))
        assert (packed.transcripts, packed.genome_build) == (plain.transcripts, plain.genome_build)


def test_progress(tmp_path):
    (tmp_path / "genes.gtf").write_text(tabs(ENSEMBL_GTF))
    seen = []
    read_annotation(str(tmp_path / "genes.gtf"), lambda done, total: seen.append((done, total)))
    size = (tmp_path / "genes.gtf").stat().st_size
    assert seen == [(size, size)]


def test_gtf_without_lines_for_genes_and_transcripts(read):
    text = re.sub(r"(?m)^\S+ \S+ (gene|transcript) .*\n", "", ENSEMBL_GTF).replace("exon_number", "gene_name")
    found = flat(read(text))
    assert [(t.gene_id, t.transcript_id, t.start, t.end, t.exons, t.cds) for t in found] == [
        (t.gene_id, t.transcript_id, t.start, t.end, t.exons, t.cds) for t in EXPECTED
    ]
    assert found[0].gene_name == "1"
    assert found[0].biotype == ""


@pytest.mark.parametrize("first", ["one", "one; two"])
def test_gtf_of_refseq(read, first):
    annotation = read(f"""
        #!genome-build R1
        I x gene 1 30 . + . gene_id "AAA"; transcript_id ""; description "{first}"; gene "AAA"; gene_biotype "tRNA";
        I x gene 40 90 . + . gene_id "B_1"; transcript_id ""; gene "B"; gene_biotype "protein_coding";
        I x transcript 40 90 . + . gene_id "B_1"; transcript_id "NM_1.2"; product "a; gene_id b"; tag "MANE Select";
        I x exon 40 90 . + . gene_id "B_1"; transcript_id "NM_1.2"; product "a; gene_id b";
        I x CDS 50 58 . + 0 gene_id "B_1"; transcript_id "NM_1.2"; product "a; gene_id b";
    """)
    expected = replace(EXPECTED[0], transcript_id="NM_1.2", gene_id="B_1", gene_name="B", start=40, end=90)
    expected = replace(expected, exons=((40, 90),), cds=((50, 58),), tags=frozenset({"MANE_Select"}))
    assert flat(annotation) == [expected]
    assert tuple(annotation.genes_without_transcripts) == ("AAA",)


def test_stop_codon_that_the_cds_of_a_gtf_holds_already(read):
    annotation = read("""
        I x exon 1 30 . + . gene_id "A"; transcript_id "T";
        I x CDS 4 12 . + 0 gene_id "A"; transcript_id "T";
        I x stop_codon 10 12 . + 0 gene_id "A"; transcript_id "T";
    """)
    assert flat(annotation)[0].cds == ((4, 12),)


def test_transcript_id_shared_by_genes(read):
    annotation = read("""
        I x exon 1 30 . + . gene_id "A"; transcript_id "unknown_transcript_1";
        II x exon 2 30 . - . gene_id "B"; transcript_id "unknown_transcript_1";
    """)
    assert [(t.gene_id, t.chrom, t.tss) for t in flat(annotation)] == [("A", "I", 1), ("B", "II", 30)]


def test_gene_that_is_its_own_transcript(read):
    annotation = read("""
        M RefSeq gene 10 50 . - . ID=gene-ND1;Name=ND1;gene_biotype=protein_coding
        M RefSeq CDS 12 20 . - 0 ID=cds-1;Parent=gene-ND1
        M RefSeq CDS 30 50 . - 0 ID=cds-1;Parent=gene-ND1
        M RefSeq gene 60 70 . + . ID=gene-RNR1;gene_biotype=rRNA
        M RefSeq exon 60 70 . + . ID=exon-1;Parent=gene-RNR1
    """)
    assert flat(annotation) == [
        Transcript("ND1", "ND1", "ND1", "protein_coding", "M", "-", 10, 50, ((10, 20), (30, 50)),
                   ((12, 20), (30, 50)), frozenset()),
        Transcript("RNR1", "RNR1", "", "rRNA", "M", "+", 60, 70, ((60, 70),), (), frozenset()),
    ]  # fmt: skip


def test_primary_transcript_keeps_its_exons_beside_its_mirna(read):
    assert flat(read(REFSEQ_GFF3))[-1].transcript_id == "ENST4"


def test_coding_pieces_of_a_frameshift_overlap(read):
    annotation = read("""
        I x gene 1 90 . + . ID=g
        I x CDS 1 30 . + 0 ID=c;Parent=g
        I x CDS 30 90 . + 0 ID=c;Parent=g
    """)
    assert (flat(annotation)[0].exons, flat(annotation)[0].cds) == (((1, 90),), ((1, 30), (30, 90)))


def test_a_comma_belongs_to_a_value_of_a_gtf_and_parts_those_of_a_gff3(read):
    gtf = flat(read('I x exon 1 90 . + . gene_id "A,B"; transcript_id "T,1"; gene_name "ADE5,7";'))
    assert [(found.gene_id, found.transcript_id, found.gene_name) for found in gtf] == [("A,B", "T,1", "ADE5,7")]
    gff3 = read("""
        I x gene 1 90 . + . ID=g;Name=ADE5%2C7,other
        I x mRNA 1 90 . + . ID=t;Parent=g
        I x mRNA 1 60 . + . ID=u;Parent=g
        I x exon 1 60 . + . Parent=t,u
        I x exon 70 90 . + . Parent=t
    """)
    assert [(transcript.gene_name, len(transcript.exons)) for transcript in flat(gff3)] == [
        ("ADE5,7", 2),
        ("ADE5,7", 1),
    ]
    escaped = read("""
        I x gene 1 90 . + . ID=gene-A%2CB
        I x mRNA 1 90 . + . ID=rna-T%2C1;Parent=gene-A%2CB;transcript_id=T%2C1
        I x exon 1 60 . + . Parent=rna-T%2C1
    """)
    assert [(found.gene_id, found.transcript_id) for found in flat(escaped)] == [("A,B", "T,1")]


def test_attributes_are_found_by_their_own_names(read):
    gtf = read("""
        I x transcript 1 90 . + . old_gene_id "no"; note "x; gene_id y; tag basic"; gene_id "A;B"; transcript_id "T";
        I x exon 1 90 . + . note "gene_id z"; transcript_id T; gene_id "A;B"
    """)
    assert [(found.gene_id, found.transcript_id, found.tags) for found in flat(gtf)] == [("A;B", "T", frozenset())]
    gff3 = read("""
        I x gene 1 90 . + . old_ID=no;ID=g;orig_Name=no;Note=a, b;Name=one, two
        I x mRNA 1 90 . + . orig_Parent=no; Parent=g ;ID=t
        I x exon 1 90 . + . ID=no;Parent=t
    """)
    assert [(found.gene_id, found.gene_name) for found in flat(gff3)] == [("g", "one, two")]


CUT_GTF = """
I x exon 1 60 . + . gene_id "A"; transcript_id "A1";
I x CDS 31 60 . + 1 gene_id "A"; transcript_id "A1";
I x CDS 1 20 . + 2 gene_id "A"; transcript_id "A1";
II x exon 1 60 . - . gene_id "B"; transcript_id "B1";
II x CDS 1 20 . - 2 gene_id "B"; transcript_id "B1";
II x CDS 31 60 . - 1 gene_id "B"; transcript_id "B1";
II x exon 70 90 . - . gene_id "C"; transcript_id "C1";
II x CDS 70 90 . - . gene_id "C"; transcript_id "C1";
"""
CUT_GFF3 = """
I x gene 1 60 . + . ID=A
I x mRNA 1 60 . + . ID=A1;Parent=A
II x gene 1 60 . - . ID=B
II x mRNA 1 60 . - . ID=B1;Parent=B
II x gene 70 90 . - . ID=C
II x mRNA 70 90 . - . ID=C1;Parent=C
""" + re.sub(r'gene_id.*transcript_id "(..)";', r"Parent=\1", CUT_GTF.strip())


@pytest.mark.parametrize("text", [CUT_GTF, CUT_GFF3])
def test_the_phase_is_that_of_the_first_coding_piece_on_its_strand(read, text):
    assert [(found.gene_id, found.phase) for found in flat(read(text))] == [("A", 2), ("B", 1), ("C", 0)]


@pytest.mark.parametrize("text", ["gtf", "gff3"])
def test_copies_on_chromosomes_that_are_not_chosen_do_not_matter(read, refuses, text):
    place = {"chrX": "chrX x {} 1 30 . + .", "chrY": "chrY x {} 4 40 . - .", "chrY_alt": "chrY_alt x {} 7 70 . - ."}
    lines = {
        "gtf": 'exon|gene_id "A"; transcript_id "A1"; gene_type "tRNA"',
        "gff3": "gene|ID=A;biotype=tRNA\nmRNA|ID=A1;Parent=A\nexon|Parent=A1",
    }[text].splitlines()
    rows = [(columns, *line.split("|")) for columns in place.values() for line in lines]
    copies = "\n".join(f"{columns.format(kind)} {attributes}" for columns, kind, attributes in rows)
    other = copies.replace("A", "B").replace("tRNB", "tRNA").split("chrY")[0]
    for chosen, tss in ((["chrX"], 1), (["chrY"], 40), (["chr?_*"], 70)):
        annotation = read(copies + "\n" + other, chosen)
        assert [found.tss for found in annotation.transcripts["A"]] == [tss]
        assert annotation.not_chosen == ({} if chosen == ["chrX"] else {"B": "tRNA"})
        assert annotation.chromosomes == ("chrX", "chrY", "chrY_alt")
    assert read(copies, ["chrZ"]).not_chosen == {"A": "tRNA"}
    refuses(copies, "gene A lies on both chrX and chrY", "build.chromosomes")


def test_what_merely_has_gene_in_its_name_is_no_gene(read):
    annotation = read("""
        I x gene 1 30 . + . ID=g
        I x mRNA 1 30 . + . ID=t;Parent=g
        I x exon 1 30 . + . Parent=t
        I x mobile_genetic_element 40 50 . + . ID=id-1
        I x intergenic_region 50 60 . + . ID=id-2
        I x pseudogene 60 70 . + . ID=p
        I x transposable_element_gene 70 80 . + . ID=e
        I x V_gene_segment 80 90 . + . ID=v;biotype=IG_V
        I x exon 80 90 . + . Parent=v
    """)
    assert list(annotation.transcripts) == ["g", "v"]
    assert tuple(annotation.genes_without_transcripts) == ("p", "e")


def test_exons_of_no_use_on_chosen_chromosomes_are_no_missing_lines(read, refuses):
    gene = 'II x gene 1 30 . + . gene_id "A"; gene_biotype "tRNA";\n'
    with pytest.raises(DataError, match="no gene has exon or CDS lines"):
        read(gene, ["I"])
    unstranded = read(gene.replace("II", "I") + 'I x exon 1 30 . . . gene_id "A"; transcript_id "T";')
    assert (unstranded.left_out, unstranded.genes_without_transcripts) == (("T",), {"A": "tRNA"})


def test_gff3_of_gffread(read):
    annotation = read("""
        I x transcript 1 30 . + . ID=T1;geneID=G1;gene_name=N
        I x exon 1 30 . + . Parent=T1
        I x mRNA 40 90 . - . ID=T2;Parent=G2
        I x exon 40 90 . - . Parent=T2,T3
    """)
    assert [(t.gene_id, t.transcript_id, t.gene_name) for t in flat(annotation)] == [
        ("G1", "T1", "N"),
        ("G2", "T2", ""),
    ]
    assert tuple(annotation.genes_without_transcripts) == ()


def test_copies_of_a_gene_on_both_sex_chromosomes(read):
    gff3 = read("""
        chrX HAVANA gene 1 30 . + . ID=ENSG1.5;gene_id=ENSG1.5
        chrX HAVANA transcript 1 30 . + . ID=ENST1.2;Parent=ENSG1.5;transcript_id=ENST1.2
        chrX HAVANA exon 1 30 . + . Parent=ENST1.2
        chrY HAVANA gene 1 30 . + . ID=ENSG1.5_PAR_Y;gene_id=ENSG1.5
        chrY HAVANA transcript 1 30 . + . ID=ENST1.2_PAR_Y;Parent=ENSG1.5_PAR_Y;transcript_id=ENST1.2
        chrY HAVANA exon 1 30 . + . Parent=ENST1.2_PAR_Y
    """)
    gtf = read("""
        chrX x exon 1 30 . + . gene_id "ENSG1.5"; transcript_id "ENST1.2";
        chrY x exon 1 30 . + . gene_id "ENSG1.5_PAR_Y"; transcript_id "ENST1.2_PAR_Y";
    """)
    for annotation in (gff3, gtf):
        assert [(t.gene_id, t.transcript_id, t.chrom) for t in flat(annotation)] == [
            ("ENSG1.5", "ENST1.2", "chrX"),
            ("ENSG1.5_PAR_Y", "ENST1.2_PAR_Y", "chrY"),
        ]


@pytest.mark.parametrize(
    ("gene_id", "bare"),
    [
        ("ENSG00000000003.15", "ENSG00000000003"),
        ("ENSG00000000003", "ENSG00000000003"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("AC1.2.3", "AC1.2"),
        ("YDL247W-A", "YDL247W-A"),
        ("A.1b", "A.1b"),
        (".5", ".5"),
    ],
)
def test_strip_version(gene_id, bare):
    assert strip_version(gene_id) == bare


@pytest.mark.parametrize(
    ("header", "build"),
    [
        ("#!genome-build GRCh38.p14", "GRCh38.p14"),
        ("#!genome-build  Genome Reference Consortium GRCh38.p13", "GRCh38.p13"),
        ("##genome-build NCBI B36", "B36"),
        ("#!genome-build Release 6 plus ISO1 MT", "Release 6 plus ISO1 MT"),
        ("##description: evidence-based annotation of the human genome (GRCh37), version 19 (Ensembl 74)", "GRCh37"),
        (
            "##description: annotation of the human genome, version 44 (Ensembl 110), mapped to GRCh37 with backmap",
            "GRCh37",
        ),
        ("#!genome-build-accession GCA_1", None),
        ("#!genome-version R1", None),
    ],
)
def test_genome_build(read, header, build):
    assert read(f'{header}\nI x exon 1 30 . + . gene_id "A"; transcript_id "T";').genome_build == build


def test_transcripts_that_are_no_stretch_of_one_strand(read, caplog):
    annotation = read("""
        I x gene 1 90 . + . gene_id "A";
        I x exon 1 30 . + . gene_id "A"; transcript_id "spliced";
        I x exon 40 90 . - . gene_id "A"; transcript_id "spliced";
        I x exon 1 30 . + . gene_id "A"; transcript_id "overlaps";
        I x exon 30 60 . + . gene_id "A"; transcript_id "overlaps";
        I x exon 1 30 . . . gene_id "A"; transcript_id "neither";
        I x exon 1 30 . + . gene_id "B"; transcript_id "good";
    """)
    assert list(annotation.transcripts) == ["B"]
    assert annotation.left_out == ("spliced", "overlaps", "neither")
    assert tuple(annotation.genes_without_transcripts) == ("A",)
    assert "3 transcripts" in caplog.text
    assert "spliced" in caplog.text


EXON = 'I x exon 1 30 . + . gene_id "A"; transcript_id "T";\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# nothing", ["no transcripts"]),
        ('I x gene 1 30 . + . gene_id "A";', ["no transcripts"]),
        ("chrI 5 10 name 0 +", ["line 1", "6 columns", "GTF or GFF3"]),
        (EXON + "{}", ["line 2", "1 columns"]),
        (EXON + 'I x exon one 30 . + . gene_id "A";', ["line 2", "'one'"]),
        (EXON + 'I x exon 31 30 . + . gene_id "A";', ["line 2", "'31'", "'30'"]),
        (EXON + 'I x exon 0 30 . + . gene_id "A";', ["line 2", "'0'"]),
        (EXON + 'I x exon 1 30 . 1 . gene_id "A";', ["line 2", "strand '1'"]),
        (EXON * 20 + 'I x exon 1 30 . 1 . gene_id "A";', ["line 21", "strand '1'"]),
        (EXON + 'I x exon 1 30 . + . gene_id "A";', ["line 2", "no transcript_id"]),
        (EXON + 'I x gene 1 30 . + . gene_name "A";', ["line 2", "no gene_id"]),
        (
            'I x transcript 5 20 . + . gene_id "A"; transcript_id "T";\n' + EXON,
            ["gene A", "transcript T", "5-20", "1-30"],
        ),
        (EXON + 'I x CDS 25 33 . + 0 gene_id "A"; transcript_id "T";', ["gene A", "transcript T", "25-33"]),
        (EXON + 'I x CDS 1 30 . + 3 gene_id "A"; transcript_id "T";', ["line 2", "phase '3'", "0, 1 or 2"]),
        ((EXON + EXON.replace("exon", "CDS")).replace("+", "."), ["gene A", "transcript T", "'.'", "write + or -"]),
        (EXON + EXON.replace("I x", "II x"), ["gene A", "both I and II", "build.chromosomes"]),
        (EXON + EXON.replace("I x", "II x").replace('"T"', '"U"'), ["gene A", "both I and II", "build.chromosomes"]),
        (
            "I x gene 1 9 . + . ID=a;gene_id=A\nI x exon 1 9 . + . Parent=a\n"
            "II x gene 1 9 . + . ID=b;gene_id=A\nII x exon 1 9 . + . Parent=b",
            ["gene A", "both I and II", "build.chromosomes"],
        ),
    ],
)
def test_sentences(refuses, text, words):
    refuses(text, *words)


def test_missing_and_truncated(tmp_path, sentence):
    with pytest.raises(DataError) as info:
        read_annotation(str(tmp_path / "none.gtf"))
    sentence(info, tmp_path / "none.gtf", "does not exist")
    path = tmp_path / "cut.gtf.gz"
    path.write_bytes(gzip.compress(tabs(ENSEMBL_GTF).encode())[:-20])
    with pytest.raises(DataError) as info:
        read_annotation(str(path))
    sentence(info, path, "truncated")


def test_yeast(shared_data):
    annotation = read_annotation(str(shared_data / "yeast" / "genes.gtf.gz"))
    assert annotation.genome_build == "R64-1-1"
    assert len(annotation.transcripts) == len(flat(annotation)) == 7036
    assert (annotation.genes_without_transcripts, annotation.left_out) == ({}, ())
    coding = [transcript for transcript in flat(annotation) if transcript.cds]
    assert len(coding) == 6600
    (minus,) = annotation.transcripts["YDL246C"]
    assert (minus.tss, minus.exons, minus.cds) == (9756, ((8683, 9756),), ((8683, 9756),))
